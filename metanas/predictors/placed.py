"""Architectures as points: what sources say of them, and how far apart they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metanas.predictors.residual import Wide

FAR = 5.0
"""Standard deviations from the mean beyond which a descriptor is cut."""


@dataclass(frozen=True)
class Placed:
    """N architectures as the universal part sees them.

    Attributes:
        heads: what each source task's predictor says, in standard deviations of its
            scores above their mean; shape (N, T).
        points: one array (N, d) a metric; typical distances are 1.
        spread: standard deviation of the ensemble around `heads`, shape (N, T).
    """

    heads: Wide
    points: tuple[Wide, ...]
    spread: Wide

    def apart(self, others: Placed) -> tuple[Wide, ...]:
        """Squared distances to others, one matrix (N, others) a metric."""
        return tuple(map(_squared, self.points, others.points))

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Placed:
        """Some of them."""
        index = np.asarray(rows, np.int64)
        return Placed(
            self.heads[index], tuple(each[index] for each in self.points), self.spread[index]
        )


class Standard:
    """Descriptors in standard deviations of a reference, those that vary there.

    Args:
        described: shape (n, d).
    """

    def __init__(self, described: NDArray[np.float32]) -> None:
        self._center, spread = described.mean(axis=0), described.std(axis=0)
        self._varies = spread > 0
        self._spread = spread[self._varies]

    def __call__(self, described: NDArray[np.float32]) -> Wide:
        """Shape (N, numbers that vary)."""
        standard = (described - self._center)[:, self._varies] / self._spread
        cut: Wide = np.clip(standard, -FAR, FAR).astype(np.float32)
        return cut


def typical_distance(points: Wide) -> float:
    """Median distance of two different architectures; 1 where there are no two."""
    squared = _squared(points, points)
    some = squared[squared > 0]
    return float(np.sqrt(np.median(some))) if len(some) else 1.0


def _squared(points: Wide, others: Wide) -> Wide:
    inner = points @ others.T
    inner *= -2.0
    inner += (points**2).sum(axis=1)[:, None]
    inner += (others**2).sum(axis=1)
    squared: Wide = np.maximum(inner, 0.0, out=inner)
    return squared
