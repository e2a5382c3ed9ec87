from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from metadata_store.batch import Trials
from metanas.protocols import SearchSpace, Strategy
from metanas.strategies.random_forest import RandomForestStrategy
from tests.contracts.predictor import pretended
from tests.contracts.strategy import StrategyContract, search


class TestRandomForestStrategy(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return partial(RandomForestStrategy, universal=20, residual=10)

    def test_starts_near_what_the_sources_like(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        first = search(make(space=listed, sources=sources), 1)[0].score
        every = [pretended(each) for each in listed.enumerate() or ()]
        assert (first or 0.0) > np.quantile(every, 0.8)
