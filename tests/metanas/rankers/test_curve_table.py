import numpy as np
import pytest

from metanas.rankers.curve_table import CurveTable, run_noise


def table(codes: np.ndarray, final: np.ndarray) -> CurveTable:
    return CurveTable("made", codes, final[:, None], final)


def test_noise_is_that_of_runs_repeated_with_other_seeds() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(rng.random((400, 3)), 2, axis=0)
    levels = np.repeat(rng.normal(0, 5.0, 400), 2)
    noisy = table(codes, levels + rng.normal(0, 0.3, 800))
    once = table(rng.random((50, 3)), rng.normal(0, 5.0, 50))
    assert run_noise([noisy, once]) == pytest.approx(0.3, rel=0.1)


def test_without_repeated_runs_no_noise_is_known() -> None:
    rng = np.random.default_rng(0)
    assert run_noise([table(rng.random((20, 3)), rng.normal(0, 1.0, 20))]) == 0.0
