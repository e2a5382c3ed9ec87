from collections.abc import Callable
from functools import partial

import pytest

from metadata_store.batch import Trials
from metanas.protocols import SearchSpace, Strategy
from metanas.strategies.nao import Nao
from tests.contracts.strategy import StrategyContract, search


class TestNao(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return partial(Nao, round_size=6, epochs=5)

    def test_knows_nothing_of_the_sources(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        with_them = search(make(space=listed, sources=sources, seed=1), 8)
        without = search(make(space=listed, seed=1), 8)
        assert [t.architecture for t in with_them] == [t.architecture for t in without]
