import numpy as np
import pytest

from metanas.rankers.boosted import Boosted, Habits
from metanas.rankers.curve_shape import shape_numbers
from metanas.rankers.curve_table import CurveTable
from metanas.rankers.runs import bounded


def table(task: str, seed: int) -> CurveTable:
    """Runs that gain in proportion to their first number."""
    rng = np.random.default_rng(seed)
    codes = rng.random((60, 2))
    curves = 0.1 + codes[:, :1] * np.linspace(0.0, 1.0, 12) + 0.01 * rng.normal(size=(60, 12))
    return CurveTable(task, codes, curves, curves[:, -1])


@pytest.fixture(scope="module")
def boosted() -> Boosted:
    return Boosted([table("a", 0), table("b", 1)], np.arange(2), rng=np.random.default_rng(0))


def test_what_is_left_to_gain_is_forecast_with_its_deviation(boosted: Boosted) -> None:
    new = table("c", 2)
    forecast = boosted(shape_numbers(new.curves), new.codes)
    assert forecast.shape == (60, 12, boosted.width)
    gain = new.final[:, None] - new.curves
    for column in range(boosted.width - 1):
        assert np.abs(forecast[:, :-1, column] - gain[:, :-1]).mean() < 0.1
    assert (forecast[:, :, -1] > 0).all()


def test_a_part_is_not_told_by_trees_that_have_seen_it() -> None:
    """The second source gains nothing: only trees that know it say so."""
    flat = table("b", 1)
    still = np.repeat(flat.curves[:, :1], 12, axis=1)
    flat = CurveTable("b", flat.codes, still, still[:, -1])
    made = Boosted([table("a", 0), flat], np.arange(2), rng=np.random.default_rng(0))
    told = made(shape_numbers(still[:, :1]), flat.codes)[:, 0]
    assert np.abs(told[:, made.part[1]]).mean() > 3 * np.abs(told[:, made.part[0]]).mean()


def test_only_what_is_asked_is_forecast(boosted: Boosted) -> None:
    new = table("c", 2)
    shapes = shape_numbers(new.curves)
    every, few = boosted(shapes, new.codes), boosted(shapes, new.codes, [boosted.whole])
    np.testing.assert_array_equal(every[..., boosted.whole :], few[..., boosted.whole :])
    assert (few[..., : boosted.whole] == 0).all()


def test_finished_runs_correct_forecasts_as_bayes_rule_does() -> None:
    """Errors share a part with variance 4 and have one of their own with variance 1."""
    habits = Habits(np.array([1.0]), np.array([4.0]))
    errors = np.array([2.5, 1.0, 1.5])
    more, narrower = habits.corrected(
        np.ones(2, np.int64), np.array([0.0, errors.sum()]), np.array([0, 3])
    )
    joint = 4.0 * np.ones((4, 4)) + np.eye(4)
    solved = np.linalg.solve(joint[:3, :3], joint[:3, 3])
    assert more == pytest.approx([0.0, solved @ errors])
    assert narrower**2 * 5.0 == pytest.approx([5.0, joint[3, 3] - solved @ joint[:3, 3]])


def test_no_single_error_counts_for_too_much() -> None:
    assert bounded(np.array([1.0, -1e9]), np.array([2.0, 2.0])).tolist() == [0.5, -6.0]
