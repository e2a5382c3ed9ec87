from collections.abc import Callable

import pytest

from metanas.protocols import Strategy
from metanas.strategies.random import RandomSearch
from tests.contracts.strategy import StrategyContract


class TestRandomSearch(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return RandomSearch
