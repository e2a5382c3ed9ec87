"""Parametric curves, extrapolated: their Bayesian mixture and the mean of plain fits.

[Domhan] Domhan, Springenberg and Hutter. Speeding up automatic hyperparameter optimization
of deep neural networks by extrapolation of learning curves. IJCAI 2015.
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
from metanas.rankers.extrapolation import Unit, extrapolated, shapes_at


class CurveMixture:
    """The Bayesian mixture (`metanas.rankers.extrapolation`); needs no sources."""

    def __init__(self, *, space: SearchSpace, seed: int, outcome: str) -> None:
        self._outcome = outcome

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        return self

    def rank(self, target: Target, length: int) -> Floats | None:
        curves, _ = _scaled(target, self._outcome)
        return self._forecasts(curves, target)[0][:, length - 1]

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        curves, final = _scaled(target, self._outcome)
        mean, std = self._forecasts(curves, target)
        mean[:, -1], std[:, -1] = final, 0.0
        return by_chance(mean, std, final, orders)

    def _forecasts(self, curves: Floats, target: Target) -> tuple[Floats, Floats]:
        """Mean and deviation of the last point after each, (n, positions)."""
        mean, std = curves.copy(), np.full(curves.shape, np.inf)
        # A second point alone has no slope.
        x = _trained(target)
        for row, curve in enumerate(curves):
            forecast = extrapolated(x, curve[1:], x[-1], prefixes=True)
            mean[row, 1:], std[row, 2:] = forecast.mean, forecast.std[1:]
        return mean, std


class CurveFits(CurveMixture):
    """The mean of each family's best least-squares fit; ranks only."""

    def rank(self, target: Target, length: int) -> Floats | None:
        curves, _ = _scaled(target, self._outcome)
        if length < 4:
            return curves[:, length - 1]
        seen = curves[:, 1:length]
        x = _trained(target)
        ends = []
        for members in shapes_at(x, x[-1])[:3]:
            fits, errors = [], []
            for member in members:
                basis = np.stack([np.ones(length - 1), member[: length - 1]], axis=1)
                places = np.linalg.lstsq(basis, seen.T, rcond=None)[0]
                fits.append(places[0] + places[1] * member[-1])
                errors.append(((basis @ places - seen.T) ** 2).sum(axis=0))
            best = np.argmin(errors, axis=0)
            ends.append(np.array(fits)[best, np.arange(len(seen))])
        return np.asarray(np.mean(ends, axis=0))

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        return []


def _scaled(target: Target, outcome: str) -> tuple[Floats, Floats]:
    """Curves and final values in the unit of the task's curves, diverged ones at the bottom."""
    unit = Unit.of(list(target.curves))
    curves = unit(target.curves)
    if outcome == "score":
        curves = np.maximum.accumulate(curves, axis=1)
    return curves, unit(target.final)


def _trained(target: Target) -> Floats:
    """Epochs trained at each point but the first, which is before training; (positions - 1,)."""
    return np.asarray(target.epochs[1:] - target.epochs[0], np.float64)
