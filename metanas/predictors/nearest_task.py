"""Nearest task: what did best on the most similar task that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import Prediction, SearchSpace
from tasks.similarity import nearest


class NearestTask:
    """Implements `metanas.protocols.Predictor` and `WeighsSources`.

    An architecture's score is its normal score on the nearest other task; one not
    measured there is below all others.
    """

    def __init__(self, *, space: SearchSpace) -> None:
        self._space = space
        self._sources: SourceScores | None = None

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        self._sources = SourceScores.of(trials, self._space)
        self._tasks = dict(tasks)
        return self

    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        sources = self._fitted()
        row = sources.tasks.index(self._nearest(task, sources))
        scores = sources.normal[row]
        known = {
            architecture.key: score
            for architecture, score in zip(sources.architectures, scores, strict=True)
            if np.isfinite(score)
        }
        lowest = float(np.nanmin(scores)) - 1.0
        mean = np.array([known.get(a.key, lowest) for a in architectures], np.float64)
        return Prediction(mean, np.where(mean > lowest, 0.0, 1.0))

    def source_weights(self, task: Task) -> Mapping[str, float]:
        """All the weight is the nearest task's."""
        sources = self._fitted()
        followed = self._nearest(task, sources)
        return {name: float(name == followed) for name in sources.tasks}

    def _fitted(self) -> SourceScores:
        if self._sources is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        return self._sources

    def _nearest(self, task: Task, sources: SourceScores) -> str:
        names = [name for name in sources.tasks if name != task.name]
        if not names:
            raise ValueError(f"need trials of another task than {task.name!r}, got none")
        records = [self._tasks.get(name, Task.table(name)) for name in names]
        return nearest(task, records, 1)[0].task
