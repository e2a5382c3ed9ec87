from collections.abc import Callable

import numpy as np
import pytest

from metanas.protocols import Strategy
from metanas.spaces import NasBench201
from metanas.strategies.evolution import Evolution
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import NEW, StrategyContract, failed, search, some_cells, stopped


class TestEvolution(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return Evolution

    def test_climbs(self) -> None:
        scores = [t.score or 0.0 for t in search(Evolution(space=NasBench201()), 80)]
        assert np.mean(scores[-20:]) > np.mean(scores[:20]) + 0.05

    def test_the_oldest_have_no_more_children(self) -> None:
        best, *others = sorted(some_cells(5), key=pretended, reverse=True)
        strategy = Evolution(space=NasBench201(), population=4, sample=4)
        done = [trial(NEW.name, each, pretended(each)) for each in (best, *others)]
        rng = np.random.default_rng(0)
        for _ in range(30):
            child = strategy.propose(done, NEW, rng)
            apart = [sum(child.choices[k] != p.choices[k] for k in p.choices) for p in others]
            assert min(apart) == 1

    def test_a_bound_counts_and_a_failure_does_not(self) -> None:
        cells = some_cells(12)
        strategy = Evolution(space=NasBench201(), population=3, sample=3)
        done = [*(stopped(each, 0.5) for each in cells[:3]), *(failed(each) for each in cells[3:])]
        rng = np.random.default_rng(0)
        child = strategy.propose(done, NEW, rng)
        apart = [sum(child.choices[k] != p.choices[k] for k in p.choices) for p in cells[:3]]
        assert min(apart) == 1

    def test_sample_and_population_are_checked(self) -> None:
        with pytest.raises(ValueError, match="sample of 5 out of 3"):
            Evolution(space=NasBench201(), population=3, sample=5)
