import math

import pytest
import torch

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
    assert wilson(1.0, 5) == pytest.approx(0.217, abs=0.01)
    assert wilson(0.5, 10_000) == pytest.approx(1.96 * 0.005, rel=1e-2)
