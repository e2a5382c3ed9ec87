import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture
from metanas.protocols import SearchSpace, Strategy
from metanas.spaces import NasBench201
from metanas.strategies.xfernas import XferNASStrategy, expected_improvement
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import NEW, StrategyContract, search, some_cells, stopped


class TestXferNASStrategy(StrategyContract):
    @pytest.fixture
    def make(self) -> Callable[..., Strategy]:
        return partial(XferNASStrategy, members=2, steps=40)

    def test_first_proposes_what_the_sources_like(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        first = search(make(space=listed, sources=sources), 1)[0].score
        every = [pretended(each) for each in listed.enumerate() or ()]
        assert (first or 0.0) > np.quantile(every, 0.9)

    def test_without_sources_it_learns_from_its_own_trials(
        self, make: Callable[..., Strategy]
    ) -> None:
        best = max(t.score or 0.0 for t in search(make(space=NasBench201()), 25))
        assert best > 0.85

    def test_sources_that_say_the_opposite_are_let_go(
        self, make: Callable[..., Strategy], listed: SearchSpace
    ) -> None:
        negated = [trial("one", each, 1.0 - pretended(each)) for each in some_cells(80, 1)]
        scores = [t.score or 0.0 for t in search(make(space=listed, sources=negated), 25)]
        every = sorted((pretended(each) for each in listed.enumerate() or ()), reverse=True)
        assert scores[0] < np.median(every)
        assert max(scores) >= every[2]

    def test_after_one_trial_it_does_not_try_what_all_sources_dislike(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        cells = sorted(listed.enumerate() or (), key=pretended)
        for seed in range(3):
            strategy = make(space=listed, sources=sources, seed=seed)
            first = trial(NEW.name, cells[-2], pretended(cells[-2]))
            second = strategy.propose([first], NEW, np.random.default_rng(0))
            assert pretended(second) > np.quantile([pretended(each) for each in cells], 0.25)

    def test_a_stopped_trial_teaches(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        strategy = make(space=listed, sources=sources)
        cells = list(listed.enumerate() or ())
        done = [trial(NEW.name, each, pretended(each)) for each in cells[:10]]
        best = max(cells[10:], key=pretended)
        rng = np.random.default_rng(0)
        with_bound = strategy.propose([*done, stopped(best, 0.3)], NEW, rng)
        assert with_bound != best
        assert pretended(with_bound) > np.quantile([pretended(each) for each in cells], 0.8)

    @pytest.mark.slow
    def test_a_suggestion_takes_a_fraction_of_a_second(self, sources: Trials) -> None:
        strategy = XferNASStrategy(space=NasBench201(), sources=sources, members=2, steps=40)
        done = [trial(NEW.name, each, pretended(each)) for each in some_cells(100, 2)]
        started = time.process_time()
        strategy.propose(done, NEW, np.random.default_rng(0))
        assert time.process_time() - started < 2.0


def test_expected_improvement_is_that_of_samples() -> None:
    mean, std = np.array([0.0, 1.0, -2.0]), np.array([1.0, 0.1, 3.0])
    drawn = np.random.default_rng(0).normal(mean, std, (400_000, 3))
    sampled = np.maximum(drawn - 0.5, 0.0).mean(axis=0)
    np.testing.assert_allclose(expected_improvement(mean, std, 0.5), sampled, rtol=0.02)


def test_a_batch_before_any_trial_is_not_of_near_twins(sources_all_alike: Trials) -> None:
    strategy = XferNASStrategy(space=NasBench201(), sources=sources_all_alike, members=2, steps=60)
    pending: list[Architecture] = []
    for _ in range(6):
        pending.append(strategy.propose([], NEW, np.random.default_rng(0), pending=pending))
    space = NasBench201()
    assert len({space.canonical(each) for each in pending}) > 3


@pytest.fixture
def sources_all_alike() -> Trials:
    return Trials.of(trial("one", each, pretended(each)) for each in some_cells(60, 1))


@pytest.mark.parametrize("wrong", [{"members": 0}, {"steps": 0}])
def test_an_ensemble_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="members and steps must be at least 1"):
        XferNASStrategy(space=NasBench201(), **wrong)
