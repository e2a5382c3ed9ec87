"""What a method is asked in the early-stopping benchmark, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.protocols import SearchSpace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Target:
    """Whole runs of a task, of which a method may look at what it would have seen.

    Attributes:
        epochs: at which every whole run reports, increasing, (positions,).
        curves: higher is better, NaN where a run diverged, (n, positions).
        final: what each run came to, -inf where it diverged, (n,).
    """

    task: Task
    trials: Trials
    epochs: Ints
    curves: Floats
    final: Floats

    @classmethod
    def of(cls, task: Task, trials: Trials, outcome: str) -> Target:
        """From runs that report at the same epochs; failed ones may end before the last."""
        curves = np.asarray(trials.curves(), np.float64)
        given = np.where(np.isfinite(curves), curves, -np.inf)
        final = given.max(axis=1) if outcome == "score" else given[:, -1]
        longest = int(np.argmax(trials.lengths))
        epochs = trials.flat_epochs[trials.offsets[longest] : trials.offsets[longest + 1]]
        return cls(task, trials, epochs.astype(np.int64), curves, final)

    @property
    def positions(self) -> int:
        """Points of a whole curve."""
        return int(self.curves.shape[1])

    def passed(self, positions: Floats) -> Ints:
        """Points reported once so large a share of a run is over; same shape."""
        shares = self.epochs / self.epochs[-1]
        return np.asarray(np.searchsorted(shares, positions * (1.0 - 1e-9)) + 1, np.int64)


@dataclass(frozen=True)
class Setting:
    """One point of a method's trade-off.

    Attributes:
        threshold: the method's own: a probability, a factor, a percentile; NaN for none.
        lengths: points each run was trained for, in the rows' order, (searches, n).
        chosen: whether the method would use it by default.
    """

    threshold: float
    lengths: Ints
    chosen: bool = False


class CurveMethod(Protocol):
    """Ranks partial curves, stops runs, or both."""

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        """Learns from whole runs of source tasks."""
        ...

    def rank(self, target: Target, length: int) -> Floats | None:
        """A score for each run after `length` points, (n,); None where it does not rank."""
        ...

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        """Searches through the runs in these orders, (searches, n); none where it cannot."""
        ...


class MakeMethod(Protocol):
    """Makes a method."""

    def __call__(self, *, space: SearchSpace, seed: int, outcome: str) -> CurveMethod: ...
