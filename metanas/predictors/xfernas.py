"""XferNAS: a universal predictor and a residual for each task, which starts at zero.

[XferNAS] Wistuba. XferNAS: Transfer Neural Architecture Search. ECML PKDD 2020,
arXiv 1907.08307.

The idea is the paper's: f(x) = g_u(x) + r(x), g_u learned on other tasks, r on the task's
own trials, so that a new task starts where the others are. The parts are newer:

- g_u is an ensemble over descriptors that do not depend on how an architecture is written
  down (`metanas.predictors.universal`) instead of an LSTM over tokens.
- r is a Gaussian process in a space whose metric the sources taught, their descriptors'
  relevance or the features that g_u's ensemble has learned, in closed form
  (`metanas.predictors.residual`) instead of a network, so it also knows its uncertainty.
- g_u is weighed by its evidence, source by source, against hypotheses without it.
- There is no decoder: candidates are listed or mutated, and scored (`metanas.strategies`).

The paper's own design is `metanas.predictors.xfernas_paper`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.ranking_ensemble import require_ensemble
from metanas.predictors.universal import Universal
from metanas.protocols import Prediction, SearchSpace
from tasks.one_thread import one_thread


class XferNAS:
    """Implements `metanas.protocols.Predictor` and `WeighsSources`.

    For a task with trials of its own a prediction is in the unit of its scores, for one
    without it is g_u: standard deviations above the mean source architecture.

    Args:
        members, steps: of the universal part's ensemble.
        seed: of all randomness.
    """

    def __init__(
        self, *, space: SearchSpace, members: int = 8, steps: int = 150, seed: int = 0
    ) -> None:
        require_ensemble(members, steps)
        self._space = space
        self._members = members
        self._steps = steps
        self._seed = seed
        self._trials: Trials | None = None

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        batch = Trials.of(trials)
        spaces = batch.present("space")
        if spaces != [self._space.name] or not np.isfinite(batch.scores).any():
            raise ValueError(
                f"need trials with a score in space {self._space.name!r}, "
                f"got {', '.join(map(repr, spaces)) or 'none'}"
            )
        self._trials = batch
        self._tasks = dict(tasks)
        self._universal: dict[str, Universal] = {}
        return self

    @one_thread()
    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        universal = self._learned(task)
        own = OwnTrials.of(self._own(task))
        placed = universal.place(architectures)
        if not own.measured:
            return Prediction(*universal.expected(placed, task))
        seen = universal.place(own.measured)
        posterior = universal.posterior(seen, own, task)
        mean, variance = posterior.predict(placed.heads, placed.apart(seen))
        return Prediction(mean, np.sqrt(variance))

    @one_thread()
    def source_weights(self, task: Task) -> Mapping[str, float]:
        """The trust in each source before the task has trials."""
        universal = self._learned(task)
        return dict(zip(universal.tasks, universal.weights(task).tolist(), strict=True))

    def _own(self, task: Task) -> Trials:
        return self._fitted().where(task=task.name)

    def _fitted(self) -> Trials:
        if self._trials is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        return self._trials

    def _learned(self, task: Task) -> Universal:
        """Without the task's own trials, as long as others have some with a score."""
        trials = self._fitted()
        others = trials.take(
            np.array([name != task.name for name in trials.names("task")])[trials.codes("task")]
        )
        if not np.isfinite(others.scores).any():
            others, name = trials, ""
        else:
            name = task.name if task.name in trials.present("task") else ""
        if name not in self._universal:
            self._universal[name] = Universal(
                others,
                self._tasks,
                self._space,
                members=self._members,
                steps=self._steps,
                seed=self._seed,
            )
        return self._universal[name]
