import numpy as np
import pytest

from metanas.spaces.random_chooser import RandomChooser


@pytest.fixture
def chooser() -> RandomChooser:
    return RandomChooser(np.random.default_rng(0))


def test_integers_reach_both_ends_and_keep_the_step(chooser: RandomChooser) -> None:
    assert {chooser.suggest_int("n", 2, 8, step=3) for _ in range(100)} == {2, 5, 8}


def test_integers_on_a_log_scale_reach_both_ends(chooser: RandomChooser) -> None:
    drawn = [chooser.suggest_int("n", 1, 100, log=True) for _ in range(3000)]
    assert min(drawn) == 1
    assert max(drawn) == 100
    assert np.median(drawn) < 20


def test_numbers_stay_in_range(chooser: RandomChooser) -> None:
    even = [chooser.suggest_float("x", -1.0, 1.0) for _ in range(500)]
    log = [chooser.suggest_float("x", 1e-4, 1.0, log=True) for _ in range(500)]
    stepped = {chooser.suggest_float("x", 0.0, 1.0, step=0.25) for _ in range(200)}
    assert -1.0 <= min(even) < max(even) <= 1.0
    assert 1e-4 <= min(log) < max(log) <= 1.0
    assert 0.002 < np.median(log) < 0.05
    assert stepped == {0.0, 0.25, 0.5, 0.75, 1.0}


def test_an_empty_range_is_refused(chooser: RandomChooser) -> None:
    with pytest.raises(ValueError, match="low <= high"):
        chooser.suggest_int("n", 3, 2)
    with pytest.raises(ValueError, match="low > 0"):
        chooser.suggest_float("x", 0.0, 1.0, log=True)
    with pytest.raises(ValueError, match="no values"):
        chooser.suggest_categorical("c", [])
