import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import optuna
import pytest

from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, Task, Trial, TrialState
from metanas.protocols import SearchSpace, Strategy
from metanas.search.record import ran
from metanas.search.sampler import StrategySampler, XferNASSampler
from metanas.search.study import LOST
from metanas.search.worker import work
from metanas.spaces.parameter import Parameter
from metanas.spaces.random_chooser import RandomChooser
from metanas.spaces.table import TableSpace
from tests.contracts.searches import (
    SPACE,
    TASK,
    Fake,
    measure_with,
    share,
    source_trials_of,
    study_in,
    value_of,
)


class Draws:
    """A strategy that draws, and keeps what it was asked."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.asked: list[tuple[list[Trial], list[Architecture]]] = []
        self.proposed: list[Architecture] = []

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        self.asked.append((list(trials), list(pending)))
        self.proposed.append(self.space.suggest(RandomChooser(rng)))
        return self.proposed[-1]


@pytest.fixture
def strategy() -> Draws:
    return Draws(SPACE)


def study_of(strategy: Strategy, *, direction: str = "maximize", seed: int = 0) -> optuna.Study:
    sampler = StrategySampler(lambda space: strategy, TASK, SPACE, seed=seed)
    return optuna.create_study(direction=direction, sampler=sampler)  # type: ignore[arg-type]


def objective(trial: optuna.Trial) -> float:
    return value_of(SPACE.suggest(trial))


def test_a_trial_runs_what_the_strategy_proposed(strategy: Draws) -> None:
    study = study_of(strategy)
    study.optimize(objective, n_trials=5)
    assert [Architecture("mini", each.params) for each in study.trials] == strategy.proposed


def test_the_strategy_sees_what_ended_and_what_is_running(strategy: Draws) -> None:
    study = study_of(strategy)
    study.optimize(objective, n_trials=2)
    running = study.ask()
    architecture = SPACE.suggest(running)
    stopped = study.ask()
    SPACE.suggest(stopped)
    stopped.report(0.25, step=0)
    study.tell(stopped, state=optuna.trial.TrialState.PRUNED)
    failed = study.ask()
    SPACE.suggest(failed)
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    SPACE.suggest(study.ask())
    trials, pending = strategy.asked[-1]
    assert pending == [architecture]
    assert [each.state for each in trials] == [
        TrialState.COMPLETED,
        TrialState.COMPLETED,
        TrialState.STOPPED,
        TrialState.FAILED,
    ]
    assert trials[0].score == pytest.approx(value_of(trials[0].architecture))
    assert (trials[2].score, trials[2].curve.best) == (None, 0.25)
    assert trials[2].curve.epochs == (1,)


def test_lost_trials_are_not_shown_to_the_strategy(strategy: Draws) -> None:
    study = study_of(strategy)
    lost = study.ask()
    SPACE.suggest(lost)
    lost.set_user_attr(LOST, "gone")
    study.tell(lost, state=optuna.trial.TrialState.FAIL)
    SPACE.suggest(study.ask())
    assert strategy.asked[-1] == ([], [])


def test_a_minimised_value_is_a_negative_score(strategy: Draws) -> None:
    study = study_of(strategy, direction="minimize")
    study.optimize(lambda trial: 3.0 + 0 * objective(trial), n_trials=2)
    assert [each.score for each in strategy.asked[-1][0]] == [-3.0]


def test_a_seed_gives_the_same_proposals_and_another_seed_others() -> None:
    found = []
    for seed in (1, 1, 2):
        study = study_of(Draws(SPACE), seed=seed)
        study.optimize(objective, n_trials=4)
        found.append([each.params for each in study.trials])
    assert found[0] == found[1] != found[2]


def test_parameters_outside_the_space_are_left_to_tpe(strategy: Draws) -> None:
    study = study_of(strategy)

    def wider(trial: optuna.Trial) -> float:
        return objective(trial) + trial.suggest_float("other", 0, 1)

    study.optimize(wider, n_trials=12)
    assert all(set(each.params) == {"kind", "size", "rate", "other"} for each in study.trials)
    assert len(strategy.asked[-1][0]) == 11


def test_proposals_are_fitted_into_the_range_asked_for(strategy: Draws) -> None:
    study = study_of(strategy)

    def narrower(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["b", "c"])
        size = trial.suggest_int("size", 2, 6, step=2)
        rate = trial.suggest_float("rate", 0.01, 0.1, log=True)
        return value_of(Architecture("mini", {"kind": kind, "size": size, "rate": rate}))

    study.optimize(narrower, n_trials=20)
    assert {each.params["size"] for each in study.trials} <= {2, 4, 6}
    assert all(0.01 <= each.params["rate"] <= 0.1 for each in study.trials)


def test_threads_get_proposals_of_their_own(strategy: Draws) -> None:
    study = study_of(strategy)
    study.optimize(objective, n_trials=20, n_jobs=4)
    assert len({str(each.params) for each in study.trials}) == 20


class InOrder:
    """A strategy that takes its time, and the first architecture that is not taken."""

    def __init__(self, space: SearchSpace) -> None:
        self._every = list(space.enumerate() or ())

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        time.sleep(0.2)
        taken = {*pending, *(each.architecture for each in trials)}
        return next((each for each in self._every if each not in taken), self._every[0])


def test_workers_that_begin_at_once_try_different_architectures() -> None:
    small = TableSpace("mini", (Parameter("kind", values=("a", "b", "c", "d")),))
    storage, store = optuna.storages.InMemoryStorage(), MemoryStore()
    measure = measure_with(lambda architecture, seed: Fake([0.5]))

    def run() -> None:
        sampler = StrategySampler(InOrder, TASK, small)
        work(study_in(storage, sampler=sampler), share(store, measure, budget=6, space=small))

    workers = [threading.Thread(target=run) for _ in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    tried = [each.architecture for each in ran(study_in(storage))]
    # Where all are taken the search goes on with what is proposed.
    assert len(tried) == 6
    assert len(set(tried[:4])) == len(small.enumerate() or ()) == 4


def test_several_objectives_are_refused(strategy: Draws) -> None:
    sampler = StrategySampler(lambda space: strategy, TASK, SPACE)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    with pytest.raises(ValueError, match="one objective, the study has 2"):
        SPACE.suggest(study.ask())


# XferNASSampler


def asked_one_by_one(trial: optuna.Trial) -> float:
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    size = trial.suggest_int("size", 1, 8)
    rate = trial.suggest_float("rate", 0.001, 1.0, log=True)
    return value_of(Architecture("mini", {"kind": kind, "size": size, "rate": rate}))


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.add_trials(source_trials_of(["one", "two"], count=30))
    return made


@pytest.mark.parametrize("space", [None, "mini", SPACE])
def test_on_an_empty_store_it_is_tpe(space: str | SearchSpace | None) -> None:
    found = []
    for sampler in (
        XferNASSampler(MemoryStore(), "target", space, seed=3),
        optuna.samplers.TPESampler(seed=3),
    ):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(asked_one_by_one, n_trials=15)
        found.append([each.params for each in study.trials])
    assert found[0] == found[1]


@pytest.mark.parametrize("space", ["mini", SPACE])
def test_the_first_trial_is_already_good_where_the_store_knows_the_space(
    store: MemoryStore, space: str | SearchSpace
) -> None:
    values = []
    for seed in range(3):
        sampler = XferNASSampler(store, "target", space, seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(asked_one_by_one, n_trials=4)
        values.append(study.trials[0].value or 0.0)
    scores = [each.score or 0.0 for each in store.trials()]
    assert np.mean(values) > np.quantile(scores, 0.85)


def test_the_space_is_found_by_the_names_of_its_choices(store: MemoryStore) -> None:
    store.add_trials(
        Trial(
            "three",
            Architecture("another", {"depth": depth}),
            each.curve,
            TrialState.COMPLETED,
            depth,
            "tests",
        )
        for depth, each in enumerate(source_trials_of(["three"], count=8))
    )
    sampler = XferNASSampler(store, "target", seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(asked_one_by_one, n_trials=6)
    scores = [each.score or 0.0 for each in store.trials(space="mini")]
    assert np.mean([each.value or 0.0 for each in study.trials[1:]]) > np.quantile(scores, 0.7)


def test_threads_that_ask_while_the_space_is_learned_are_answered(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = XferNASSampler(store, "target", seed=0)
    known = store.task

    def slowly(name: str) -> Task:
        # As long as others see sources but no space they belong to, they must not propose.
        time.sleep(0.3 if len(sampler._sources) else 0.0)
        return known(name)

    monkeypatch.setattr(store, "task", slowly)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(asked_one_by_one, n_trials=24, n_jobs=4)
    assert len(study.trials) == 24


def test_conditional_parameters_are_asked_only_where_they_belong(store: MemoryStore) -> None:
    def conditional(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["a", "b", "c"])
        extra = trial.suggest_int("extra", 0, 3) / 10 if kind == "b" else 0.0
        size = trial.suggest_int("size", 1, 8)
        rate = trial.suggest_float("rate", 0.001, 1.0, log=True)
        choices = {"kind": kind, "size": size, "rate": rate}
        return value_of(Architecture("mini", choices)) + extra

    sampler = XferNASSampler(store, "target", "mini", seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(conditional, n_trials=12)
    for each in study.trials:
        assert ("extra" in each.params) == (each.params["kind"] == "b")


def test_a_task_may_be_a_name_or_a_record(store: MemoryStore) -> None:
    makers: list[Callable[[], XferNASSampler]] = [
        lambda: XferNASSampler(store, "target", "mini", seed=0),
        lambda: XferNASSampler(store, Task.table("target"), "mini", seed=0),
    ]
    found = []
    for make in makers:
        study = optuna.create_study(direction="maximize", sampler=make())
        study.optimize(asked_one_by_one, n_trials=3)
        found.append([each.params for each in study.trials])
    assert found[0] == found[1]


def test_attributes_of_a_users_own_trials_are_left_alone(store: MemoryStore) -> None:
    found = []
    for said in ({}, {"architecture": "resnet18"}):
        study = optuna.create_study(
            direction="maximize", sampler=XferNASSampler(store, "target", "mini", seed=0)
        )

        def objective(trial: optuna.Trial, said: dict[str, str] = said) -> float:
            for name, value in said.items():
                trial.set_user_attr(name, value)
            return asked_one_by_one(trial)

        study.optimize(objective, n_trials=4)
        found.append([each.params for each in study.trials])
    assert found[0] == found[1]
