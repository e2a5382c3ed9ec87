from collections.abc import Callable

import numpy as np
import pytest

from metadata_store.records import Architecture
from metanas.protocols import Strategy
from metanas.search.tabular import OptunaStrategy
from metanas.spaces import NasBench201
from metanas.spaces.table import TableSpace
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

    @pytest.mark.parametrize("sampler", ["tpe", "gp"])
    def test_whether_an_optional_choice_is_there_is_learned(self, sampler: str) -> None:
        rows = [{"size": size} for size in (1, 2, 3, 4, 5, 6, 7, 8)]
        with_it = [{**row, "extra": value} for row in rows for value in (1, 2, 3, 4)]
        given = [Architecture("made", row) for row in (*rows, *with_it)]
        space = TableSpace.of([trial("old", each, 0.5) for each in given])

        def score(architecture: Architecture) -> float:
            return 0.3 if "extra" in architecture.choices else 0.6

        done = [trial(NEW.name, each, score(each)) for each in given[::2]]
        strategy = OptunaStrategy(space=space, sampler=sampler)
        proposed = [strategy.propose(done, NEW, np.random.default_rng(i)) for i in range(12)]
        assert sum("extra" not in each.choices for each in proposed) >= 10
        answers = [each.params for each in strategy._study.trials if each.value is not None]
        assert all(("extra" in each) == each["extra?"] for each in answers)

    def test_an_unknown_sampler_is_refused(self) -> None:
        with pytest.raises(ValueError, match="unknown sampler 'oracle'"):
            OptunaStrategy(space=NasBench201(), sampler="oracle")
