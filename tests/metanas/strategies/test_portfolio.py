from collections.abc import Callable

import pytest

from metanas.protocols import SearchSpace, Strategy
from metanas.strategies.portfolio import PortfolioStrategy
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import StrategyContract, search


class TestPortfolioStrategy(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return PortfolioStrategy

    def test_starts_with_the_best_of_the_sources_that_can_be_tried(
        self, listed: SearchSpace
    ) -> None:
        cells = list(listed.enumerate() or ())[:40]
        sources = [trial("one", each, pretended(each)) for each in cells]
        done = search(PortfolioStrategy(space=listed, sources=sources, first=5), 8)
        scores = sorted((pretended(each) for each in cells), reverse=True)
        assert [t.score for t in done[:5]] == pytest.approx(scores[:5])
