"""A forest learned on the sources and a forest on what is left of the own scores.

A reference for transfer without a notion of uncertainty or trust: the universal forest
predicts normal scores from one-hot choices, the residual forest how far the task's own
scores, brought to the same scale, are above or below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.one_hot import one_hot, training_set
from metanas.predictors.own_trials import OwnTrials
from metanas.protocols import SearchSpace
from metanas.strategies.candidates import best_untried, drawn, fresh, listed, random_draws

LEAST = 5
"""Own scores from which a residual is learned; random proposals without sources."""

PARENTS = 20


class RandomForestStrategy:
    """Implements `metanas.protocols.Strategy`.

    Args:
        universal, residual: trees of the two forests.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
        universal: int = 200,
        residual: int = 50,
    ) -> None:
        self._space = space
        self._residual = residual
        self._seed = seed
        self._forest: Any = None
        batch = Trials.of(sources)
        if np.isfinite(batch.scores).any():
            self._forest = self._fitted(universal, *training_set(batch, space))
        self._listed = listed(space)
        self._inputs = None if self._listed is None else one_hot(space, self._listed)
        self._before = None if self._inputs is None else self._universal(self._inputs)

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        own = OwnTrials.of(trials)
        taken = {each.key for each in (*own.tried, *pending)}
        enough = len(own.measured) >= LEAST
        chosen = None
        if enough or self._forest is not None:
            if self._listed is not None and self._inputs is not None:
                found, inputs, values = self._listed, self._inputs, self._before
            else:
                best = np.argsort(-own.scores, kind="stable")[:PARENTS]
                found = drawn(self._space, [own.measured[i] for i in best], rng)
                inputs = one_hot(self._space, found)
                values = self._universal(inputs)
            assert values is not None
            if enough:
                values = values + self._left(own, inputs)
            chosen = best_untried(found, values, taken)
        if chosen is None:
            chosen = fresh(random_draws(self._space, rng), self._space, taken)
        return chosen

    def _left(self, own: OwnTrials, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the residual forest adds."""
        seen = one_hot(self._space, own.measured)
        before = self._universal(seen)
        spread = float(own.scores.std()) or 1.0
        scores = (own.scores - own.scores.mean()) / spread * (before.std() or 1.0)
        forest = self._fitted(self._residual, seen, scores - (before - before.mean()))
        left: NDArray[np.float64] = forest.predict(inputs)
        return left

    def _universal(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        if self._forest is None:
            return np.zeros(len(inputs))
        scores: NDArray[np.float64] = self._forest.predict(inputs)
        return scores

    def _fitted(self, trees: int, inputs: NDArray[np.float32], scores: NDArray[np.float64]) -> Any:
        forest = RandomForestRegressor(trees, random_state=self._seed, n_jobs=1)
        return forest.fit(inputs, scores)
