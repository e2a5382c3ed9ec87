"""The baseline that every ranker must beat: the run that is ahead now ends ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Task, Trial
from metanas.protocols import SearchSpace


class LastValue:
    """Implements `metanas.protocols.CurveRanker`; there is nothing to learn."""

    def __init__(self, *, space: SearchSpace, seed: int = 0) -> None:
        self.space = space

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        return self

    def probability_better(self, trial: Trial, other: Trial, task: Task) -> float:
        one, two = self.scores([trial, other], task)
        return 0.5 if one == two else float(one > two)

    def probabilities_better(
        self, trials: Sequence[Trial], others: Sequence[Trial], task: Task
    ) -> NDArray[np.float64]:
        """`probability_better` of n pairs, shape (n,)."""
        pairs = zip(trials, others, strict=True)
        return np.array([self.probability_better(one, two, task) for one, two in pairs])

    def scores(self, trials: Sequence[Trial], task: Task) -> NDArray[np.float64]:
        """Last values, -inf for a diverged run; shape (n,)."""
        for trial in trials:
            if len(trial.curve) == 0:
                raise ValueError(f"need a curve of at least one point, got {trial.identity}")
        last = [trial.curve.values[-1] for trial in trials]
        return np.array([-math.inf if math.isnan(value) else value for value in last])
