"""Gradient boosting on one-hot choices, blind to what the task is.

[Boosting] Friedman. Greedy Function Approximation: A Gradient Boosting Machine.
Annals of Statistics 29, 2001.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.one_hot import one_hot, training_set
from metanas.protocols import Prediction, SearchSpace
from tasks.one_thread import one_thread

HOLD_OUT = 20


class GradientBoosting:
    """Implements `metanas.protocols.Predictor`; scores are normal scores.

    The uncertainty is one number, the residuals' spread on the rows held out from the
    last tree; with fewer than `HOLD_OUT` rows none are, and it is the scores' spread.

    Args:
        trees: boosting rounds.
    """

    def __init__(self, *, space: SearchSpace, trees: int = 200, seed: int = 0) -> None:
        self._space = space
        self._trees = trees
        self._seed = seed
        self._model: Any = None

    @one_thread()
    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        inputs, scores = training_set(trials, self._space)
        held_out = len(scores) >= HOLD_OUT
        self._model = GradientBoostingRegressor(
            n_estimators=self._trees,
            learning_rate=0.05,
            subsample=0.7 if held_out else 1.0,
            random_state=self._seed,
        ).fit(inputs, scores)
        variance = self._model.oob_scores_[-1] if held_out else scores.var()
        self._spread = float(np.sqrt(max(variance, 0.0)))
        return self

    @one_thread()
    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        if self._model is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        mean = self._model.predict(one_hot(self._space, architectures))
        return Prediction(mean, np.full(len(mean), self._spread))
