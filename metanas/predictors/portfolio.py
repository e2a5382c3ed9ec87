"""Source portfolio: what did well on the other tasks, by its mean rank there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import Prediction, SearchSpace


class Portfolio:
    """Implements `metanas.protocols.Predictor`.

    An architecture's score is its mean normal score over the tasks it was measured on;
    one never measured is below all others.
    """

    def __init__(self, *, space: SearchSpace) -> None:
        self._space = space
        self._known: dict[str, tuple[float, float]] | None = None

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        sources = SourceScores.of(trials, self._space)
        mean, std = _over_tasks(sources.normal)
        self._known = {
            architecture.key: (float(mean[i]), float(std[i]))
            for i, architecture in enumerate(sources.architectures)
        }
        return self

    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        if self._known is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        lowest = min(mean for mean, _ in self._known.values()) - 1.0
        found = [self._known.get(a.key, (lowest, 1.0)) for a in architectures]
        scores = np.array(found, np.float64).reshape(len(architectures), 2)
        return Prediction(scores[:, 0].copy(), scores[:, 1].copy())


def _over_tasks(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column's known entries."""
    known = np.isfinite(scores)
    count = known.sum(axis=0)
    filled = np.where(known, scores, 0.0)
    mean = filled.sum(axis=0) / count
    apart = np.where(known, (scores - mean) ** 2, 0.0)
    return mean, np.sqrt(apart.sum(axis=0) / count)
