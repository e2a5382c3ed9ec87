import numpy as np
import pytest

from metanas.rankers.curve_table import run_noise


def test_noise_is_that_of_runs_repeated_with_other_seeds() -> None:
    rng = np.random.default_rng(0)
    group = np.concatenate([np.repeat(np.arange(400), 2), np.arange(400, 450)])
    final = rng.normal(0, 5.0, 450)[group] + rng.normal(0, 0.3, 850)
    assert run_noise(final, group) == pytest.approx(0.3, rel=0.1)


def test_without_repeated_runs_no_noise_is_known() -> None:
    rng = np.random.default_rng(0)
    assert run_noise(rng.normal(0, 1.0, 20), np.arange(20)) == 0.0


def test_a_few_repetitions_tell_nothing() -> None:
    assert run_noise(np.array([0.0, 1.0, 0.5]), np.array([0, 0, 1])) == 0.0
