import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from metanas.rankers.extrapolation import (
    NOISES,
    PRECISION,
    Forecast,
    Unit,
    extrapolated,
    shapes_at,
)

X = np.array([1.0, 2.0, 4.0, 5.0])
Y = np.array([0.1, 0.35, 0.5, 0.62])
END = 12.0


def slow_forecast() -> Forecast:
    """The same by conditioning joint normal distributions of all points."""
    members = shapes_at(np.append(X, END), END).reshape(-1, len(X) + 1)
    evidence, means, stds = [], [], []
    for member in members:
        basis = np.stack([np.ones(len(member)), member], axis=1)
        for noise in NOISES:
            cov = basis @ basis.T / PRECISION + noise**2 * np.eye(len(member))
            seen, across = cov[:-1, :-1], cov[:-1, -1]
            evidence.append(multivariate_normal.logpdf(Y, cov=seen, allow_singular=True))
            solved = np.linalg.solve(seen, across)
            means.append(solved @ Y)
            stds.append(np.sqrt(cov[-1, -1] - solved @ across))
    weights = np.exp(np.array(evidence) - max(evidence))
    return Forecast(weights[None] / weights.sum(), np.array(means)[None], np.array(stds)[None])


def test_posteriors_and_evidence_are_those_of_the_joint_distribution() -> None:
    fast, slow = extrapolated(X, Y, END), slow_forecast()
    assert fast.weights == pytest.approx(slow.weights, abs=1e-6)
    assert fast.means == pytest.approx(slow.means, abs=1e-5)
    assert fast.stds == pytest.approx(slow.stds, rel=1e-4)


def test_every_prefix_at_once_is_as_each_alone() -> None:
    every = extrapolated(X, Y, END, prefixes=True)
    for length in range(1, len(X) + 1):
        one = extrapolated(X[:length], Y[:length], END)
        assert every.means[length - 1] == pytest.approx(one.means[0])
        assert every.weights[length - 1] == pytest.approx(one.weights[0])


@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.5])
def test_a_power_law_is_continued(exponent: float) -> None:
    x = np.arange(1.0, 13.0)
    forecast = extrapolated(x, 0.9 - 0.8 * x**-exponent, 50.0)
    truth = 0.9 - 0.8 * 50.0**-exponent
    assert forecast.mean[0] == pytest.approx(truth, abs=0.02)
    assert abs(forecast.mean[0] - truth) < 3.0 * forecast.std[0]


def test_more_points_make_it_surer() -> None:
    x = np.arange(1.0, 31.0)
    noise = np.random.default_rng(0).normal(0, 0.01, 30)
    stds = extrapolated(x, 0.8 - 0.7 / x + noise, 40.0, prefixes=True).std
    assert stds[29] < stds[9] < stds[2]


def test_shapes_run_from_0_to_1() -> None:
    found = shapes_at(np.array([1.0, 7.0, 20.0]), 20.0)
    assert found[..., 0] == pytest.approx(0.0)
    assert found[..., 2] == pytest.approx(1.0)
    assert ((found[..., 1] > 0.0) & (found[..., 1] < 1.0)).all()


@given(st.floats(-5.0, 5.0), st.floats(-5.0, 5.0))
def test_the_chance_falls_with_what_is_asked(one: float, other: float) -> None:
    forecast = extrapolated(X, Y, END)
    low, high = sorted((one, other))
    assert forecast.above(low)[0] >= forecast.above(high)[0]


def test_widened_the_chance_is_nearer_to_one_half() -> None:
    forecast = extrapolated(X, Y, END)
    high = float(forecast.mean[0] + 3.0 * forecast.std[0])
    assert forecast.above(high)[0] < forecast.above(high, 3.0)[0] < 0.5


def test_the_unit_bounds_what_diverged() -> None:
    unit = Unit.of([np.array([0.0, 1.0, 2.0]), np.array([0.1, -1e9, -np.inf, np.nan])])
    assert unit.size < 2.1
    assert unit(np.array([np.nan, -np.inf, -1e9])) == pytest.approx(-1.0)
    with pytest.raises(ValueError, match="need a finite value"):
        Unit.of([np.array([np.nan])])


def test_runs_that_only_get_worse_have_a_unit() -> None:
    assert Unit.of([np.array([1.0, 0.9, 0.5]), np.array([1.0, 0.2])]).size > 0.1
    assert Unit.of([np.array([1.0, 1.0])]).size > 0.0


def test_a_curve_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="as many values as positions"):
        extrapolated(np.zeros(0), np.zeros(0), 10.0)
