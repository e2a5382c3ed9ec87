"""Parametric curves, extrapolated: their Bayesian mixture and the mean of plain fits.

[Domhan] Domhan, Springenberg and Hutter. Speeding up automatic hyperparameter optimization
of deep neural networks by extrapolation of learning curves. IJCAI 2015.

A family of curves is a + b g(x; c), x the position: linear but for its shape c. With c on
a grid, each member has a Gaussian posterior and an evidence in closed form, so that the
mixture over families, shapes and noise is exact where the paper samples it. Families
kept: power law, exponential, logarithm of a power, and Weibull, which the paper's own
comparison and later work found to carry most of the weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.bench.curve_baselines.forecast import by_chance
from metanas.bench.curve_baselines.target import Floats, Ints, Setting, Target
from metanas.protocols import SearchSpace

SHAPES = np.exp(np.linspace(np.log(0.1), np.log(3.0), 8))
NOISES = np.array([0.003, 0.01, 0.03, 0.1])
"""Standard deviations, as shares of the finished runs' spread."""


def families(positions: int) -> list[Floats]:
    """Members of each family at positions 1, 2, …; each (members, positions), from 0 to 1."""
    x = np.arange(1, positions + 1, dtype=np.float64)
    power = np.stack([x**-c for c in SHAPES])
    exponential = np.stack([np.exp(-c * x / 3.0) for c in SHAPES])
    logarithm = np.stack([1.0 / np.log(np.e - 1.0 + x) ** (2.0 * c) for c in SHAPES])
    weibull = np.stack([np.exp(-c * np.sqrt(x)) for c in SHAPES])
    return [_unit(each) for each in (power, exponential, logarithm, weibull)]


class CurveMixture:
    """The Bayesian mixture; needs no sources."""

    def __init__(self, *, space: SearchSpace, seed: int, outcome: str) -> None:
        self._outcome = outcome

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        return self

    def rank(self, target: Target, length: int) -> Floats | None:
        curves, _ = _scaled(target, self._outcome)
        return self._forecast(curves, length)[0]

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        curves, final = _scaled(target, self._outcome)
        forecasts = [self._forecast(curves, p) for p in range(1, target.positions)]
        mean = np.stack([*(each[0] for each in forecasts), final], axis=1)
        std = np.stack([*(each[1] for each in forecasts), np.zeros(len(final))], axis=1)
        # A curve of fewer points than parameters forecasts nothing.
        std[:, :2] = np.inf
        return by_chance(mean, std, final, orders)

    def _forecast(self, curves: Floats, length: int) -> tuple[Floats, Floats]:
        """Mean and deviation of the last point after `length` points; (n,)."""
        if length == 1:
            return curves[:, 0], np.full(len(curves), np.inf)
        means, variances, weights = [], [], []
        seen = curves[:, 1:length]  # the first point is before training
        for members in families(curves.shape[1] - 1):
            for member in members:
                basis = np.stack([np.ones(length - 1), member[: length - 1]], axis=1)
                end = np.array([1.0, member[-1]])
                for noise in NOISES:
                    cov = 4.0 * basis @ basis.T + noise**2 * np.eye(length - 1)
                    solved = np.linalg.solve(cov, np.column_stack([seen.T, 4.0 * basis @ end]))
                    means.append(4.0 * end @ basis.T @ solved[:, :-1])
                    variance = 4.0 * end @ end - 4.0 * end @ basis.T @ solved[:, -1]
                    variances.append(np.full(len(seen), max(variance, 0.0) + noise**2))
                    fit = (seen.T * solved[:, :-1]).sum(axis=0)
                    weights.append(-0.5 * (fit + np.linalg.slogdet(cov)[1]))
        mean, variance, weight = np.array(means), np.array(variances), np.array(weights)
        weight = np.exp(weight - weight.max(axis=0))
        weight /= weight.sum(axis=0)
        centre = (weight * mean).sum(axis=0)
        return centre, np.sqrt((weight * (variance + (mean - centre) ** 2)).sum(axis=0))


class CurveFits(CurveMixture):
    """The mean of each family's best least-squares fit; ranks only."""

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        return []

    def _forecast(self, curves: Floats, length: int) -> tuple[Floats, Floats]:
        if length < 4:
            return curves[:, length - 1], np.full(len(curves), np.inf)
        seen = curves[:, 1:length]
        ends = []
        for members in families(curves.shape[1] - 1)[:3]:
            fits, errors = [], []
            for member in members:
                basis = np.stack([np.ones(length - 1), member[: length - 1]], axis=1)
                places = np.linalg.lstsq(basis, seen.T, rcond=None)[0]
                fits.append(places[0] + places[1] * member[-1])
                errors.append(((basis @ places - seen.T) ** 2).sum(axis=0))
            best = np.argmin(errors, axis=0)
            ends.append(np.array(fits)[best, np.arange(len(seen))])
        return np.mean(ends, axis=0), np.full(len(curves), np.inf)


def _unit(members: Floats) -> Floats:
    low, high = members.min(axis=1, keepdims=True), members.max(axis=1, keepdims=True)
    return np.asarray((members - low) / (high - low))


def _scaled(target: Target, outcome: str) -> tuple[Floats, Floats]:
    """Curves and final values in the unit of the task's curves, diverged ones at the bottom."""
    finite = target.curves[np.isfinite(target.curves)]
    low, high = np.quantile(finite, [0.05, 0.999])
    spread = max(high - low, 1e-9)

    def scaled(values: Floats) -> Floats:
        lifted = np.where(np.isfinite(values), values, low - spread)
        return np.asarray(np.maximum((lifted - low) / spread, -1.0))

    curves = scaled(target.curves)
    if outcome == "score":
        curves = np.maximum.accumulate(curves, axis=1)
    return curves, scaled(target.final)
