import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metanas.meta.interval import mean_of, wilson


def test_the_interval_is_that_of_a_mean() -> None:
    mean = mean_of(torch.tensor([1.0, 2.0, 3.0]))
    assert mean.value == pytest.approx(2.0)
    assert mean.ci95 == pytest.approx(1.96 / math.sqrt(3))


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert math.isnan(mean_of(torch.tensor([1.0])).ci95)
    with pytest.raises(ValueError, match="got none"):
        mean_of(torch.tensor([]))


def test_an_interval_of_a_share_never_shrinks_to_nothing() -> None:
    assert wilson(1.0, 2) == (pytest.approx(0.3424, abs=1e-4), 1.0)
    assert wilson(0.0, 2) == (0.0, pytest.approx(0.6576, abs=1e-4))
    low, high = wilson(0.5, 10_000)
    assert (high - low) / 2 == pytest.approx(1.96 * 0.005, rel=1e-2)


@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_share_is_in_0_to_1_and_holds_the_share(
    n: int, data: st.DataObject
) -> None:
    share = data.draw(st.integers(0, n)) / n
    low, high = wilson(share, n)
    assert 0.0 <= low <= share <= high <= 1.0
    # The shares that a test of the normal distribution just does not refuse.
    for end in {low, high} - {0.0, 1.0}:
        assert abs(share - end) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / n))
