import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanas.rankers.ensemble import SUREST, pooled

chances = st.floats(0.0, 1.0)


@given(one=chances, other=chances, say=chances)
def test_a_pool_lies_between_and_treats_both_outcomes_alike(
    one: float, other: float, say: float
) -> None:
    found = pooled(np.array([one]), np.array([other]), say)[0]
    assert min(one, other) - 2 * SUREST <= found <= max(one, other) + 2 * SUREST
    opposite = pooled(np.array([1.0 - one]), np.array([1.0 - other]), say)[0]
    assert found == pytest.approx(1.0 - opposite, abs=1e-9)


def test_odds_are_multiplied_by_their_say() -> None:
    # Odds of 1 to 9 and of 9 to 1: the geometric mean is even.
    assert pooled(np.array([0.1]), np.array([0.9]), 0.5) == pytest.approx(0.5)
    assert pooled(np.array([0.1]), np.array([0.9]), 0.0) == pytest.approx(0.1)
    assert pooled(np.array([0.1]), np.array([0.9]), 1.0) == pytest.approx(0.9)


def test_one_that_is_sure_is_heard() -> None:
    sure, unsure = np.array([1e-5]), np.array([0.3])
    assert pooled(sure, unsure, 0.2)[0] < 0.1 * (0.8 * 1e-5 + 0.2 * 0.3)
