from collections.abc import Callable

import numpy as np
import pytest

from metadata_store.records import Architecture, Task
from metanas.predictors.random import RandomScores
from metanas.protocols import Predictor
from tests.contracts.predictor import PredictorContract


class TestRandomScores(PredictorContract):
    @pytest.fixture
    def make(self) -> type[RandomScores]:
        return RandomScores

    @pytest.mark.skip(reason="it learns nothing")
    def test_ranks_like_the_scores_it_learned(self) -> None:  # type: ignore[override]
        """Not expected of it."""

    def test_scores_are_spread_evenly_and_differ_between_seeds(
        self, make: Callable[..., Predictor], architectures: list[Architecture]
    ) -> None:
        task = Task.table("new")
        drawn = [make(space=self.space, seed=s).predict(architectures, task).mean for s in (0, 1)]
        assert drawn[0].min() < 0.1 < 0.9 < drawn[0].max() < 1.0
        assert abs(np.corrcoef(drawn)[0, 1]) < 0.3
