"""Rules without a model: the last value, the best value, no stopping, and the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.bench.curve_baselines.forecast import searched
from metanas.bench.curve_baselines.target import Floats, Ints, Setting, Target
from metanas.protocols import SearchSpace

FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)


class Value:
    """Ranks by a value; stops a run that has further to go than the best run then had.

    A run is stopped where the best run's final value is more than a factor times what that
    run gained from the same point on above it.
    """

    best_so_far = False

    def __init__(self, *, space: SearchSpace, seed: int, outcome: str) -> None:
        pass

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        return self

    def rank(self, target: Target, length: int) -> Floats | None:
        return self._values(target)[:, length - 1]

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        values = self._values(target)

        def at(factor: float) -> Ints:
            def rule(run: int, best: int) -> NDArray[np.bool_]:
                gain = np.maximum(target.final[best] - values[best, :-1], 0.0)
                stops = target.final[best] - values[run, :-1] > factor * gain
                stops[0] = False  # before training a value says nothing
                return np.asarray(stops)

            return searched(rule, target.final, target.positions, orders)

        return [Setting(factor, at(factor), factor == 1.0) for factor in FACTORS]

    def _values(self, target: Target) -> Floats:
        values = np.where(np.isfinite(target.curves), target.curves, -1e30)
        return np.maximum.accumulate(values, axis=1) if self.best_so_far else values


class LastValue(Value):
    """By the last value."""


class BestValue(Value):
    """By the best value so far."""

    best_so_far = True


class Nothing(Value):
    """Trains every run to its end."""

    def rank(self, target: Target, length: int) -> Floats | None:
        return None

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        return [Setting(np.nan, np.full(orders.shape, target.positions, np.int64), True)]


class Oracle(Value):
    """Knows how runs end: stops after one point all that are no new best."""

    def rank(self, target: Target, length: int) -> Floats | None:
        return target.final

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        def rule(run: int, best: int) -> NDArray[np.bool_]:
            return np.full(target.positions - 1, target.final[run] <= target.final[best])

        lengths = searched(rule, target.final, target.positions, orders)
        return [Setting(np.nan, lengths, True)]
