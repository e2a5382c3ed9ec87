"""Curves of many runs on one grid of positions, whatever their metric, length or gaps.

A curve is read at fixed positions t/T in (0, 1], so that runs of 12 and of 200 epochs
can teach each other. Values far below where runs begin (a diverged loss) are drawn in
logarithmically and NaN becomes the floor: how bad a failure is says nothing, and it must
not drown the scale on which good runs differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials

Floats = NDArray[np.float64]

MOST_POSITIONS = 60
"""A grid is not finer than this: neighbouring points of a long curve say the same."""

FEWEST_REPEATS = 5
"""Of runs, before these tell anything of chance."""

OUTCOMES = ("final", "score")
"""What is predicted of a run: its last value, or its best (`Trial.score`)."""


@dataclass(frozen=True)
class Scale:
    """A monotone map of the metric that bounds how far bad values reach.

    Attributes:
        low: values above it stay as they are.
        width: below it they fall by ``width * log(1 + depth / width)``.
    """

    low: float
    width: float

    @classmethod
    def of(cls, first: Sequence[float], best: Sequence[float]) -> Scale:
        """From each source task's typical first value and its best one."""
        start, top = np.asarray(first), np.asarray(best)
        gain = float(np.median(top - start))
        width = 0.5 * gain if gain > 0 else 0.5 * max(float(np.ptp(top)), 1e-6)
        middle = float(np.median(start))
        spread = float(np.median(np.abs(start - middle)))
        return cls(middle - 4.4 * spread - width, width)

    def __call__(self, values: NDArray[np.floating]) -> Floats:
        """Any shape; NaN becomes the floor."""
        given = np.asarray(values, np.float64)
        finite = np.where(np.isfinite(given), given, self.low)
        depth = np.maximum(self.low - finite, 0.0) / self.width
        bent = np.where(depth > 0, self.low - self.width * np.log1p(depth), finite)
        bent = np.maximum(bent, self.floor)
        bad = np.isnan(given) | np.isneginf(given)
        return np.asarray(np.where(bad, self.floor, bent), np.float64)

    @property
    def floor(self) -> float:
        """Where a diverged run lies."""
        return self.low - 3.0 * self.width


@dataclass(frozen=True)
class Grid:
    """Positions at which curves are read.

    Attributes:
        positions: increasing, the last is 1; shape (positions,).
        epochs: of a whole run.
    """

    positions: Floats
    epochs: int

    @classmethod
    def of(cls, trials: Trials) -> Grid:
        """The grid of most completed curves, thinned where it is long."""
        rows = np.flatnonzero(trials.completed & (trials.lengths > 0))
        ends = trials.flat_epochs[trials.offsets[rows + 1] - 1]
        lasts, counts = np.unique(ends, return_counts=True)
        total = int(lasts[np.argmax(counts)])
        row = rows[ends == total][np.argmax(trials.lengths[rows[ends == total]])]
        epochs = trials.flat_epochs[trials.offsets[row] : trials.offsets[row + 1]]
        if len(epochs) > MOST_POSITIONS:
            # Dense at the beginning, where decisions are made.
            steps = np.linspace(0.0, 1.0, MOST_POSITIONS) ** 1.7 * (len(epochs) - 1)
            epochs = epochs[np.unique(np.round(steps).astype(int))]
        return cls(np.asarray(epochs, np.float64) / total, total)

    def __len__(self) -> int:
        return len(self.positions)

    def covered(self, epoch: float, total: int | None = None) -> int:
        """How many positions a run has passed after an epoch."""
        place = epoch / (total or self.epochs) * (1.0 + 1e-9)
        return int(np.searchsorted(self.positions, place, side="right"))

    def read(self, epochs: NDArray[np.integer], values: Floats, total: int | None = None) -> Floats:
        """Values at the positions passed, shape (covered,); between points linearly."""
        if len(epochs) == 0:
            return np.zeros(0)
        upto = self.positions[: self.covered(float(epochs[-1]), total)]
        return np.asarray(np.interp(upto, np.asarray(epochs) / (total or self.epochs), values))


@dataclass(frozen=True)
class CurveTable:
    """Finished runs of one task on a grid.

    Attributes:
        codes: encoded architectures, shape (n, numbers).
        curves: on the metric's bent scale, shape (n, positions).
        final: what each run came to, on the same scale, shape (n,).
    """

    task: str
    codes: Floats
    curves: Floats
    final: Floats


def run_noise(
    final: Floats, group: NDArray[np.int64], task: NDArray[np.int64], tasks: int
) -> Floats:
    """By how much a task's runs that differ only in their seed differ in what they come to.

    Args:
        final: of whole runs, (n,).
        group: equal for runs of one architecture, task and length, (n,).
        task: of each run, below `tasks`, (n,).

    Returns:
        The standard deviation of a run of each task, drawn towards that of all tasks as if
        by `FEWEST_REPEATS` repetitions more; 0 where there are fewer of them in all; (tasks,).
    """
    _, first, which, counts = np.unique(
        group, return_index=True, return_inverse=True, return_counts=True
    )
    repeats = np.bincount(task[first], counts - 1, tasks)
    total = repeats.sum()
    if total < FEWEST_REPEATS:
        return np.zeros(tasks)
    mean = np.bincount(which, final) / counts
    squares = np.bincount(task, (final - mean[which]) ** 2, tasks)
    everywhere = squares.sum() / total
    drawn = (squares + FEWEST_REPEATS * everywhere) / (repeats + FEWEST_REPEATS)
    return np.asarray(np.sqrt(drawn))


def outcome_curves(curves: Floats, outcome: str) -> Floats:
    """Curves whose last point is the outcome; shape (..., positions)."""
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
    return np.maximum.accumulate(curves, axis=-1) if outcome == "score" else curves
