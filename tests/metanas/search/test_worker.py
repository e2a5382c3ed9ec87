import logging
import math
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas.search import watch
from metanas.search.owner import Owner
from metanas.search.record import ran, source_of
from metanas.search.storage import open_storage
from metanas.search.study import (
    ARCHITECTURE,
    ATTEMPTS,
    LOST,
    OWNER,
    claim,
    counted,
    requeue,
    seed_for,
    standing,
)
from metanas.search.watch import Watch
from metanas.search.worker import work
from tests.contracts.searches import (
    EPOCHS,
    METRIC,
    SPACE,
    Fake,
    measure_with,
    share,
    study_in,
    value_of,
)


@pytest.fixture
def study() -> optuna.Study:
    return study_in(optuna.storages.InMemoryStorage())


DEAD = Owner(Owner.here().machine, 2**22 + 5, 1)


def abandoned(study: optuna.Study) -> optuna.Trial:
    """A trial whose worker was killed in its first epoch."""
    trial = study.ask()
    trial.set_user_attr(OWNER, DEAD.text)
    made = SPACE.suggest(trial)
    trial.set_user_attr(ARCHITECTURE, made.json)
    if "seed" not in trial.user_attrs:
        trial.set_user_attr("seed", 0)
    trial.report(0.1, 1)
    return trial


def test_a_worker_ends_when_the_budget_is_spent(study: optuna.Study) -> None:
    store = MemoryStore()
    work(study, share(store, budget=7))
    trials = list(store.trials())
    assert len(ran(study)) == len(trials) == 7
    for found, each in zip(ran(study), trials, strict=True):
        assert (found.architecture, found.seed) == (each.architecture, each.seed)
        assert found.score == each.score == pytest.approx(value_of(each.architecture))
        assert (found.epochs, found.seconds) == (EPOCHS, 2.0 * EPOCHS)
        assert each.source == source_of("one")
        assert each.extras == {"params": 300.0}


def test_the_budget_counts_what_ended_before(study: optuna.Study) -> None:
    store = MemoryStore()
    work(study, share(store, budget=3))
    work(study, share(store, budget=3))
    assert len(ran(study)) == 3
    work(study, share(store, budget=5))
    assert len(ran(study)) == len(list(store.trials())) == 5


def test_a_spent_study_keeps_no_trial_that_nobody_runs(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "NAMELESS", 0.1)
    work(study, share(budget=2))
    study.ask()  # as a connection that breaks before the worker's name is told leaves it
    work(study, share(budget=2))
    assert len(ran(study)) == 2
    assert all(each.state.is_finished() for each in study.trials)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("out of memory\nmore"), "MemoryError: out of memory"),
        (RuntimeError("CUDA out of memory"), "RuntimeError: CUDA out of memory"),
    ],
)
def test_a_training_that_raises_is_a_failed_trial_and_the_search_goes_on(
    study: optuna.Study, error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun = 0

    def begin(architecture: Architecture, seed: int) -> Fake:
        nonlocal begun
        begun += 1
        return Fake([0.5, 0.6], error if begun == 2 else None)

    store = MemoryStore()
    with caplog.at_level(logging.WARNING):
        work(study, share(store, measure_with(begin), budget=4))
    states = [each.state for each in ran(study)]
    assert states.count(TrialState.FAILED) == 1
    assert states.count(TrialState.COMPLETED) == 3
    failed = next(each for each in ran(study) if each.state is TrialState.FAILED)
    assert failed.reason == reason
    assert (failed.score, failed.best, failed.epochs) == (None, pytest.approx(0.6), 2)
    assert [each.state for each in store.trials()].count(TrialState.FAILED) == 1
    assert reason in caplog.text


@pytest.mark.parametrize("values", [[math.nan], [0.5, math.nan], []])
def test_a_training_that_diverges_is_a_failed_trial(
    study: optuna.Study, values: list[float]
) -> None:
    store = MemoryStore()
    work(study, share(store, measure_with(lambda architecture, seed: Fake(values)), budget=1))
    (found,) = ran(study)
    assert found.state is TrialState.FAILED
    assert "diverged" in found.reason
    (trial,) = store.trials()
    assert trial.state is TrialState.FAILED
    assert len(trial.curve) == len(values)


def test_a_training_that_cannot_begin_is_a_failed_trial(study: optuna.Study) -> None:
    def begin(architecture: Architecture, seed: int) -> Fake:
        raise ValueError("no such network")

    store = MemoryStore()
    work(study, share(store, measure_with(begin), budget=2))
    assert [each.reason for each in ran(study)] == ["ValueError: no such network"] * 2
    assert all(len(each.curve) == 0 for each in store.trials())


def test_a_pruned_trial_is_a_stopped_one(study: optuna.Study) -> None:
    study.pruner = optuna.pruners.ThresholdPruner(lower=0.5)
    store = MemoryStore()

    def begin(architecture: Architecture, seed: int) -> Fake:
        return Fake([0.6, 0.4, 0.9])

    work(study, share(store, measure_with(begin), budget=1))
    (found,) = ran(study)
    assert (found.state, found.score, found.epochs) == (TrialState.STOPPED, None, 2)
    assert found.best == pytest.approx(0.6)
    (trial,) = store.trials()
    assert trial.state is TrialState.STOPPED
    assert trial.curve.epochs == (1, 2)
    assert trial.seconds == 4.0


def test_an_interrupted_trial_is_left_to_others_and_does_not_count(study: optuna.Study) -> None:
    epochs = 0

    def on_epoch(epoch: int, value: float) -> None:
        nonlocal epochs
        epochs += 1

    store = MemoryStore()
    asked = share(store, budget=3, on_epoch=on_epoch, interrupted=lambda: epochs >= EPOCHS + 1)
    work(study, asked)
    assert len(ran(study)) == len(list(store.trials())) == 1
    (waiting,) = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
    begun = next(each for each in study.trials if LOST in each.user_attrs)
    assert waiting.system_attrs["fixed_params"] == begun.params
    assert waiting.user_attrs["seed"] == begun.user_attrs["seed"]
    work(study, share(store, budget=3))
    assert len(ran(study)) == len(list(store.trials())) == 3
    assert begun.user_attrs[ARCHITECTURE] in [each.architecture.json for each in ran(study)]


def test_a_keyboard_interrupt_leaves_the_trial_to_others(study: optuna.Study) -> None:
    def on_epoch(epoch: int, value: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(study, share(budget=3, on_epoch=on_epoch))
    assert counted(study.trials) == []
    assert len(standing(study.trials)) == 1


def test_a_dead_workers_trial_is_tried_again_with_the_same_seed(study: optuna.Study) -> None:
    trial = abandoned(study)
    store = MemoryStore()
    work(study, share(store, budget=2))
    assert len(ran(study)) == len(list(store.trials())) == 2
    assert ran(study)[0].number != trial.number
    again = [each for each in ran(study) if each.architecture.choices == trial.params]
    assert [each.seed for each in again] == [0]


def test_a_trial_killed_before_it_was_asked_keeps_what_it_was_queued_with(
    study: optuna.Study,
) -> None:
    trial = abandoned(study)
    for _ in range(ATTEMPTS - 2):
        (lost,) = Watch().lost(study)
        requeue(study, lost, "gone", blamed=True)
        again = study.ask()
        again.set_user_attr(OWNER, DEAD.text)
        again.suggest_categorical("kind", ["a", "b", "c"])
    work(study, share(budget=1))
    (found,) = ran(study)
    assert found.architecture.choices == trial.params
    assert found.seed == 0


def test_a_trial_killed_before_it_had_a_seed_keeps_what_it_was_queued_with(
    study: optuna.Study,
) -> None:
    queued = {"kind": "b", "rate": 0.25}
    study.enqueue_trial(queued)
    trial = study.ask()
    trial.set_user_attr(OWNER, DEAD.text)
    work(study, share(budget=1))
    (found,) = ran(study)
    assert found.number != trial.number
    assert queued.items() <= dict(found.architecture.choices).items()


def test_numbers_that_cannot_be_told_of_a_training_do_not_end_the_search(
    study: optuna.Study, caplog: pytest.LogCaptureFixture
) -> None:
    class Bare(Fake):
        def extras(self) -> dict[str, float]:
            raise RuntimeError("CUDA out of memory")

    work(study, share(measure=measure_with(lambda architecture, seed: Bare([0.1, 0.2])), budget=2))
    assert [each.state for each in ran(study)] == [TrialState.COMPLETED] * 2
    assert "has no extras: RuntimeError: CUDA out of memory" in caplog.text


def test_what_a_dead_worker_had_stored_is_told_and_not_measured_again(
    study: optuna.Study,
) -> None:
    trial = abandoned(study)
    store = MemoryStore()
    work(study_in(optuna.storages.InMemoryStorage(), "other"), share(store, budget=1))
    (other,) = store.trials()
    architecture = Architecture("mini", trial.params)
    kept = Trial("target", architecture, other.curve, TrialState.STOPPED, 0, source_of("one"), 7.0)
    store.add_trials([kept])

    def begin(architecture: Architecture, seed: int) -> Fake:
        raise AssertionError("measured again")

    work(study, share(store, measure_with(begin), budget=1))
    (found,) = ran(study)
    assert (found.state, found.seconds) == (TrialState.STOPPED, 7.0)
    assert len(list(store.trials())) == 2


@pytest.mark.parametrize("epochs", [EPOCHS, EPOCHS - 1])
def test_a_trial_that_the_store_has_otherwise_is_said_to_be_lost(
    study: optuna.Study, epochs: int, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere, store = MemoryStore(), MemoryStore()
    work(study_in(optuna.storages.InMemoryStorage()), share(elsewhere, budget=1))
    (found,) = elsewhere.trials()
    curve = LearningCurve(METRIC, found.curve.epochs[:epochs], found.curve.values[:epochs])
    store.add_trials([replace(found, curve=curve)])
    work(study, share(store, budget=1))
    assert [each.curve for each in store.trials()] == [curve]
    told = [each for each in caplog.messages if "trial 0 is not stored" in each]
    assert len(told) == (epochs < EPOCHS)


def test_a_trial_that_takes_its_workers_with_it_fails_in_the_end(study: optuna.Study) -> None:
    first = abandoned(study)
    store = MemoryStore()
    for _ in range(ATTEMPTS - 1):
        (lost,) = Watch().lost(study)
        requeue(study, lost, "gone", blamed=True)
        abandoned(study)
    work(study, share(store, budget=1))
    (found,) = ran(study)
    assert found.state is TrialState.FAILED
    assert "gone" in found.reason
    assert found.architecture.choices == first.params
    assert [each.state for each in store.trials()] == [TrialState.FAILED]


def test_a_worker_goes_on_when_its_trial_is_taken_over(study: optuna.Study) -> None:
    taken: list[int] = []

    def take(epoch: int, value: float) -> None:
        if epoch == EPOCHS and not taken:
            (running,) = study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
            taken.append(running.number)
            requeue(study, running, "silent", blamed=False)

    store = MemoryStore()
    work(study, share(store, budget=2, on_epoch=take))
    assert taken == [0]
    assert [each.state for each in ran(study)] == [TrialState.COMPLETED] * 2
    assert len(list(store.trials())) == 2


def test_an_architecture_tried_again_gets_another_seed(study: optuna.Study) -> None:
    for _ in range(3):
        study.enqueue_trial({"kind": "b", "size": 2, "rate": 0.1})
    store = MemoryStore()
    work(study, share(store, budget=3))
    seeds = [each.seed for each in ran(study)]
    assert seeds[0] == 0
    assert len(set(seeds)) == len(list(store.trials())) == 3


@pytest.mark.parametrize("second_looks_first", [True, False])
def test_workers_that_come_upon_one_architecture_at_once_take_different_seeds(
    study: optuna.Study, second_looks_first: bool
) -> None:
    first, second = study.ask(), study.ask()
    order = [second, first] if second_looks_first else [first, second]
    seeds = []
    for trial in order:
        trial.set_user_attr(ARCHITECTURE, "{}")
        seeds.append(seed_for(study.trials, trial.number, "{}", 0))
    both = [seed_for(study.trials, trial.number, "{}", 0) for trial in order]
    assert seeds[0] == 0
    assert len(set(seeds)) == len(set(both)) == 2


def test_a_trial_without_the_value_of_an_objective_fails() -> None:
    objectives = ("score", "-latency_s")
    study = study_in(optuna.storages.InMemoryStorage(), objectives=objectives)
    work(study, share(budget=1, objectives=objectives))
    assert ran(study)[0].reason == "has no latency_s"


def test_several_objectives_are_told_in_their_directions() -> None:
    objectives = ("score", "-params")
    study = study_in(optuna.storages.InMemoryStorage(), objectives=objectives)
    work(study, share(budget=2, objectives=objectives))
    assert [each.name for each in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [each.objectives[1] for each in ran(study)] == [300.0, 300.0]


@settings(max_examples=20, deadline=None)
@given(
    budget=st.integers(1, 6),
    stops=st.lists(st.integers(0, 8), max_size=4),
    dead=st.integers(0, 3),
)
def test_whatever_happens_the_budget_is_met_exactly(
    budget: int, stops: list[int], dead: int
) -> None:
    study = study_in(optuna.storages.InMemoryStorage())
    store = MemoryStore()
    for _ in range(min(dead, budget)):
        abandoned(study)
    for stop in stops:
        epochs = iter(range(stop))
        work(
            study,
            share(store, budget=budget, interrupted=lambda epochs=epochs: next(epochs, -1) < 0),
        )
        assert len(counted(study.trials)) <= budget
    work(study, share(store, budget=budget))
    assert len(ran(study)) == len(list(store.trials())) == budget
    assert not [t for t in study.trials if t.state is optuna.trial.TrialState.RUNNING]


def test_no_more_than_the_budget_ever_run(study: optuna.Study) -> None:
    trials = [claim(study, 3) for _ in range(5)]
    assert [each is not None for each in trials] == [True, True, True, False, False]
    assert len(standing(study.trials)) == 3


def test_a_study_outlives_its_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_storage(url) as storage:
        work(study_in(storage), share(budget=2))
    with open_storage(url) as storage:
        assert len(ran(study_in(storage))) == 2
    assert (tmp_path / "store.studies.db").is_file()
