"""Trials as predictors see them: one score for each task and architecture.

Scores of different tasks are not comparable (accuracies of 60 % and 95 %, negated
losses), their order within a task is. So targets are normal scores: an
architecture's rank among those of its task, put through the normal distribution's
inverse. That resolves the top, which is searched, as finely as the bottom.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Trial
from metanas.protocols import SearchSpace


@dataclass(frozen=True)
class SourceScores:
    """Scores of n architectures on t tasks.

    Attributes:
        tasks: names, in order of first appearance.
        architectures: each once.
        scores: means over seeds and sources, NaN where not measured; shape (t, n).
        trials: the scored trials themselves.
    """

    tasks: tuple[str, ...]
    architectures: tuple[Architecture, ...]
    scores: NDArray[np.float64]
    trials: Trials

    @classmethod
    def of(cls, trials: Iterable[Trial], space: SearchSpace) -> SourceScores:
        """Collects the scored trials of a space.

        Raises:
            ValueError: no trial has a score, or some are of another space.
        """
        batch = Trials.of(trials)
        batch = batch.take(np.isfinite(batch.scores))
        spaces = batch.present("space")
        if spaces != [space.name]:
            raise ValueError(
                f"need trials with a score in space {space.name!r}, "
                f"got {', '.join(map(repr, spaces)) or 'none'}"
            )
        tasks = tuple(batch.present("task"))
        names = batch.names("task")
        row_of = {names.index(task): row for row, task in enumerate(tasks)}
        rows = np.array([row_of[code] for code in batch.codes("task").tolist()], np.int64)
        shape = len(tasks), len(batch.architectures)
        sums, counts = np.zeros(shape), np.zeros(shape)
        np.add.at(sums, (rows, batch.architecture_codes), batch.scores)
        np.add.at(counts, (rows, batch.architecture_codes), 1.0)
        scores = np.full(shape, np.nan)
        np.divide(sums, counts, out=scores, where=counts > 0)
        return cls(tasks, tuple(batch.architectures), scores, batch)

    @property
    def normal(self) -> NDArray[np.float64]:
        """Normal scores within each task, NaN where not measured; shape (t, n)."""
        return np.array([normal_scores(row) for row in self.scores])


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks put through the normal distribution's inverse, NaN kept; shape (n,)."""
    known = np.isfinite(values)
    out = np.full(len(values), np.nan)
    if known.any():
        ranks = rankdata(values[known])
        out[known] = ndtri((ranks - 0.5) / len(ranks))
    return out
