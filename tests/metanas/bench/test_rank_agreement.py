import numpy as np
import pytest

from metanas.bench.rank_agreement import rank_agreement


def test_lists_that_rank_alike_agree_and_opposite_ones_do_not() -> None:
    assert rank_agreement([1, 2, 3], [10, 20, 90]) == {"spearman": 1.0, "kendall": 1.0}
    assert rank_agreement([1, 2, 3], [3, 2, 1])["kendall"] == pytest.approx(-1.0)


@pytest.mark.parametrize("flat", [[0.5, 0.5, 0.5], [np.nan, 0.1, 0.2]])
def test_a_list_that_ranks_nothing_agrees_with_none(flat: list[float]) -> None:
    assert rank_agreement(flat, [1, 2, 3]) == {"spearman": 0.0, "kendall": 0.0}
    assert rank_agreement([1, 2, 3], flat) == {"spearman": 0.0, "kendall": 0.0}


def test_one_thing_is_in_no_order() -> None:
    assert rank_agreement([1.0], [2.0]) == {"spearman": 0.0, "kendall": 0.0}
