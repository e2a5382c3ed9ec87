from collections.abc import Callable
from functools import partial

import pytest

from metanas.protocols import Strategy
from metanas.spaces import NasBench201
from metanas.strategies.greedy import Greedy
from tests.contracts.predictor import pretended
from tests.contracts.strategy import StrategyContract, search


class TestGreedy(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return partial(Greedy, predictor="ridge")

    def test_learns_from_its_own_trials(self) -> None:
        scores = [t.score for t in search(Greedy(space=NasBench201(), predictor="ridge"), 25)]
        assert max(score or 0.0 for score in scores) > 0.85

    def test_an_unknown_predictor_is_refused(self) -> None:
        with pytest.raises(ValueError, match="unknown predictor 'oracle'"):
            Greedy(space=NasBench201(), predictor="oracle")


def test_the_pretended_best_is_known() -> None:
    assert max(map(pretended, NasBench201().enumerate())) == pytest.approx(0.9)
