from collections.abc import Callable

import numpy as np
import pytest

from metanas.protocols import Strategy
from metanas.search.tabular import OptunaStrategy
from metanas.spaces import NasBench201
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import NEW, StrategyContract, search, some_cells


class TestOptunaStrategy(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return OptunaStrategy

    def test_tpe_learns_from_what_it_is_told(self) -> None:
        scores = [t.score or 0.0 for t in search(OptunaStrategy(space=NasBench201()), 50)]
        assert np.mean(scores[-20:]) > np.mean(scores[:10]) + 0.05

    def test_another_history_starts_anew(self) -> None:
        strategy = OptunaStrategy(space=NasBench201(), seed=2)
        first, second = (
            [trial(NEW.name, each, pretended(each)) for each in some_cells(15, seed)]
            for seed in (1, 2)
        )
        strategy.propose(first, NEW, np.random.default_rng(0))
        proposed = strategy.propose(second, NEW, np.random.default_rng(1))
        fresh = OptunaStrategy(space=NasBench201(), seed=2)
        assert proposed == fresh.propose(second, NEW, np.random.default_rng(1))

    def test_an_unknown_sampler_is_refused(self) -> None:
        with pytest.raises(ValueError, match="unknown sampler 'oracle'"):
            OptunaStrategy(space=NasBench201(), sampler="oracle")
