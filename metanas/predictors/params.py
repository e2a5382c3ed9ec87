"""Parameter count: the larger network is expected to score higher.

Where the space builds networks they are counted. Where it is only a table, counts are
read from the trials' ``params`` and fitted by a sum of what every choice adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.linear_model import Ridge

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.one_hot import one_hot
from metanas.protocols import Prediction, SearchSpace

NOMINAL_SHAPE = (3, 32, 32)
NOMINAL_CLASSES = 10
"""Networks of a task known only by its trials are counted for such images."""


class Params:
    """Implements `metanas.protocols.Predictor`; scores are logarithms of counts."""

    def __init__(self, *, space: SearchSpace) -> None:
        self._space = space
        self._added: Any = None

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        batch = Trials.of(trials)
        counts = batch.extra("params")
        known = np.isfinite(counts)
        self._added = None
        if known.any():
            rows = [batch.architectures[i] for i in batch.architecture_codes[known]]
            self._added = Ridge(alpha=1e-3).fit(one_hot(self._space, rows), counts[known])
        return self

    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        if not task.input_shape:
            task = replace(task, input_shape=NOMINAL_SHAPE, n_classes=NOMINAL_CLASSES)
        costs = self._space.costs(architectures, task)
        if costs is not None:
            counts = costs.params.astype(np.float64)
        elif self._added is not None:
            counts = self._added.predict(one_hot(self._space, architectures))
        else:
            raise ValueError(
                f"space {self._space.name!r} has no networks to count, and no trial it was "
                f"fitted on has 'params'"
            )
        return Prediction(np.log1p(np.maximum(counts, 0.0)), np.zeros(len(architectures)))
