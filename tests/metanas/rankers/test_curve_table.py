import numpy as np
import pytest

from metanas.rankers.curve_table import run_noise


def repeated(deviation: float, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Runs trained twice, and as many once, with the group of each."""
    rng = np.random.default_rng(seed)
    group = np.concatenate([np.repeat(np.arange(runs), 2), np.arange(runs, 2 * runs)])
    return rng.normal(0, 5.0, 2 * runs)[group] + rng.normal(0, deviation, 3 * runs), group


def test_noise_is_that_of_runs_repeated_with_other_seeds() -> None:
    quiet, loud = repeated(0.3, 400, 0), repeated(0.6, 400, 1)
    final = np.concatenate([quiet[0], loud[0]])
    group = np.concatenate([quiet[1], loud[1] + 1000])
    task = np.repeat([0, 1], 1200)
    assert run_noise(final, group, task, 2) == pytest.approx([0.3, 0.6], rel=0.1)


def test_a_task_with_few_repetitions_is_taken_to_be_as_noisy_as_all() -> None:
    final, group = repeated(0.3, 400, 0)
    task = np.zeros(len(final), np.int64)
    alone = np.arange(1000, 1020)
    found = run_noise(
        np.concatenate([final, alone]),
        np.concatenate([group, alone]),
        np.concatenate([task, np.ones(20, np.int64)]),
        3,
    )
    assert found[1:] == pytest.approx([0.3, 0.3], rel=0.1)  # the third has no whole run at all


def test_without_repeated_runs_no_noise_is_known() -> None:
    rng = np.random.default_rng(0)
    found = run_noise(rng.normal(0, 1.0, 20), np.arange(20), np.arange(20) // 10, 2)
    assert found.tolist() == [0, 0]


def test_a_few_repetitions_tell_nothing() -> None:
    assert run_noise(np.array([0.0, 1.0, 0.5]), np.array([0, 0, 1]), np.zeros(3, int), 1) == 0.0
