"""A random forest on one-hot choices, blind to what the task is.

[Forests] Breiman. Random Forests. Machine Learning 45, 2001.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.one_hot import one_hot, training_set
from metanas.protocols import Prediction, SearchSpace


class RandomForest:
    """Implements `metanas.protocols.Predictor`; scores are normal scores.

    Args:
        trees: their spread is the uncertainty.
    """

    def __init__(self, *, space: SearchSpace, trees: int = 200, seed: int = 0) -> None:
        self._space = space
        self._trees = trees
        self._seed = seed
        self._forest: Any = None

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        inputs, scores = training_set(trials, self._space)
        self._forest = RandomForestRegressor(self._trees, random_state=self._seed, n_jobs=1)
        self._forest.fit(inputs, scores)
        return self

    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        if self._forest is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        inputs = one_hot(self._space, architectures)
        each = np.stack([tree.predict(inputs) for tree in self._forest.estimators_])
        return Prediction(each.mean(axis=0), each.std(axis=0))
