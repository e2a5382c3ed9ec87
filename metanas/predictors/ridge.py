"""Ridge regression on one-hot choices: every choice adds its share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.linear_model import BayesianRidge

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.one_hot import one_hot, training_set
from metanas.protocols import Prediction, SearchSpace
from tasks.one_thread import one_thread


class Ridge:
    """Implements `metanas.protocols.Predictor`; scores are normal scores.

    The penalty is the one of highest evidence.
    """

    def __init__(self, *, space: SearchSpace) -> None:
        self._space = space
        self._model: Any = None

    @one_thread()
    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        inputs, scores = training_set(trials, self._space)
        self._model = BayesianRidge().fit(inputs.astype(np.float64), scores)
        return self

    @one_thread()
    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        if self._model is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        inputs = one_hot(self._space, architectures).astype(np.float64)
        mean, std = self._model.predict(inputs, return_std=True)
        return Prediction(mean, std)
