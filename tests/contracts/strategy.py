"""What every strategy must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.protocols import SearchSpace, Strategy
from metanas.spaces import NasBench201
from metanas.spaces.listed import Listed
from metanas.spaces.nasbench201 import cell
from metanas.spaces.table import TableSpace
from tests.contracts.predictor import pretended, trial

NEW = Task.table("new")


def some_cells(n: int, seed: int = 0) -> list[Architecture]:
    """Random ones, each once."""
    rows = np.random.default_rng(seed).choice(15_625, n, replace=False)
    return [cell(int(row)) for row in rows]


def search(
    strategy: Strategy,
    n: int,
    score: Callable[[Architecture], float] = pretended,
    *,
    seed: int = 0,
) -> list[Trial]:
    """The trials of a search without stopping."""
    rng = np.random.default_rng(seed)
    done: list[Trial] = []
    for _ in range(n):
        chosen = strategy.propose(done, NEW, rng)
        done.append(trial(NEW.name, chosen, score(chosen)))
    return done


def stopped(architecture: Architecture, bound: float) -> Trial:
    """One that was stopped early."""
    curve = LearningCurve("accuracy", (1,), (bound,))
    return Trial(NEW.name, architecture, curve, TrialState.STOPPED, 0, "made up")


def failed(architecture: Architecture) -> Trial:
    """One that raised before its first epoch."""
    return Trial(NEW.name, architecture, LearningCurve("", (), ()), TrialState.FAILED, 0, "made up")


class StrategyContract:
    """Subclass it with a fixture ``make``, which takes what every strategy takes."""

    n: ClassVar[int] = 12
    """Proposals of a search in these tests; more than a strategy's first phase."""

    learns_from_sources: ClassVar[bool] = False

    @pytest.fixture
    def listed(self) -> SearchSpace:
        return Listed(NasBench201(), tuple(some_cells(120)))

    @pytest.fixture
    def sources(self) -> Trials:
        cells = some_cells(40, 1)
        return Trials.of(
            trial(task, each, scale * pretended(each))
            for task, scale in (("one", 1.0), ("two", 0.5))
            for each in cells
        )

    def test_never_proposes_what_was_tried_or_is_pending(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        strategy = make(space=listed, sources=sources, tasks={}, seed=0)
        cells = list(listed.enumerate() or ())
        done = [trial(NEW.name, each, pretended(each)) for each in cells[:60]]
        done += [stopped(each, 0.3) for each in cells[60:80]]
        done += [failed(each) for each in cells[80:90]]
        proposed = strategy.propose(done, NEW, np.random.default_rng(0), pending=cells[90:115])
        assert proposed in cells[115:]

    def test_a_search_tries_each_architecture_once(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        done = search(make(space=listed, sources=sources, tasks={}, seed=0), self.n)
        assert len({each.architecture for each in done}) == self.n
        assert {each.architecture for each in done} <= set(listed.enumerate() or ())

    def test_is_the_same_for_the_same_seed_and_whoever_asks(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        one = make(space=listed, sources=sources, tasks={}, seed=3)
        done = search(one, self.n)
        fresh = make(space=listed, sources=sources, tasks={}, seed=3)
        proposals = [
            strategy.propose(given, NEW, np.random.default_rng(5))
            for strategy in (one, fresh)
            for given in (done, Trials.of(done))
        ]
        assert len(set(proposals)) == 1

    def test_workers_asking_at_once_get_different_architectures(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        strategy = make(space=listed, sources=sources, tasks={}, seed=0)
        rng = np.random.default_rng(0)
        for done in ([], search(strategy, self.n)):
            pending: list[Architecture] = []
            for _ in range(4):
                pending.append(strategy.propose(done, NEW, rng, pending=pending))
            assert len(set(pending)) == 4

    def test_works_without_sources(
        self, make: Callable[..., Strategy], listed: SearchSpace
    ) -> None:
        done = search(make(space=listed, sources=[], tasks={}, seed=0), self.n)
        assert len({each.architecture for each in done}) == self.n

    def test_goes_on_where_nothing_completed(
        self, make: Callable[..., Strategy], listed: SearchSpace, sources: Trials
    ) -> None:
        cells = list(listed.enumerate() or ())[:14]
        for known in (sources, Trials.of([])):
            strategy = make(space=listed, sources=known, tasks={}, seed=0)
            for done in (
                [failed(each) for each in cells],
                [stopped(each, 0.1) for each in cells],
                [trial(NEW.name, each, 0.5) for each in cells],
            ):
                assert strategy.propose(done, NEW, np.random.default_rng(0)) not in cells

    def test_searches_spaces_with_numbers_and_conditions(
        self, make: Callable[..., Strategy]
    ) -> None:
        rng = np.random.default_rng(2)
        seen = _numeric(rng, 60)
        space = TableSpace.of(seen)
        for known in (seen, []):
            strategy = make(space=space, sources=known, tasks={}, seed=0)
            done = search(strategy, self.n, lambda each: -abs(float(each.choices["rate"]) - 0.1))
            for each in done:
                space.validate(each.architecture)
            assert len({each.architecture for each in done}) == self.n

    def test_when_all_is_tried_it_still_answers(
        self, make: Callable[..., Strategy], sources: Trials
    ) -> None:
        few = Listed(NasBench201(), tuple(some_cells(12)))
        strategy = make(space=few, sources=sources, tasks={}, seed=0)
        done = [trial(NEW.name, each, pretended(each)) for each in few.architectures]
        assert strategy.propose(done, NEW, np.random.default_rng(0)) in few.architectures


def _numeric(rng: np.random.Generator, n: int) -> Sequence[Trial]:
    found = []
    for row in range(n):
        kind = ("small", "large")[row % 2]
        rate = float(np.exp(rng.uniform(-7, 0)))
        choices = {"kind": kind, "rate": rate, "layers": int(rng.integers(1, 6))}
        if kind == "large":
            choices["width"] = int(rng.integers(8, 64))
        found.append(trial("other", Architecture("mlp", choices), -abs(rate - 0.1)))
    return found
