from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from metadata_store.batch import Trials
from metanas.protocols import SearchSpace, Strategy
from metanas.spaces import NasBench201
from metanas.strategies.xfernas_paper import XferNASPaperStrategy
from tests.contracts.predictor import pretended
from tests.contracts.strategy import StrategyContract, search


class TestXferNASPaperStrategy(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return partial(XferNASPaperStrategy, round_size=6, epochs=10, more_epochs=3)

    def test_starts_well_above_the_middle(self, sources: Trials) -> None:
        strategy = XferNASPaperStrategy(space=NasBench201(), sources=sources, epochs=100)
        scores = [t.score or 0.0 for t in search(strategy, 5)]
        every = [pretended(each) for each in NasBench201().enumerate()[::50]]
        assert np.mean(scores) > np.quantile(every, 0.8)

    def test_a_round_has_at_least_one_trial(self, listed: SearchSpace) -> None:
        with pytest.raises(ValueError, match="round_size"):
            XferNASPaperStrategy(space=listed, round_size=0)
