"""A search in MLflow, each trial of it once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import optuna
import pytest

from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas.importers.mlflow_client import connected
from metanas.search.record import source_of
from metanas.search.study import ARCHITECTURE, SEED, Plan, open_study
from metanas.tracking import OPENED_TAG, PARENT_TAG, MlflowSink
from metanas.warm_start import PARENT, PARENTS, SearchLog
from tests.contracts.mlflow_database import copy_to

CELL = Architecture("toy", {"op": "conv"})
PLAN = Plan("flowers", "toy", ("score",), "{}")


@pytest.fixture
def sink(tmp_path: Path) -> MlflowSink:
    return MlflowSink(copy_to(tmp_path), "tests")


def searched(trials: int) -> tuple[optuna.Study, MemoryStore]:
    """A study by the name that is the first's on any store, and that store."""
    study = open_study(optuna.storages.InMemoryStorage(), "flowers-1", PLAN)
    store = MemoryStore()
    for seed in range(trials):
        run(study, store, seed)
    return study, store


def run(study: optuna.Study, store: MemoryStore, seed: int) -> None:
    attributes = {ARCHITECTURE: CELL.json, SEED: seed}
    study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs=attributes))
    curve = LearningCurve("val_accuracy", (1,), (0.5,))
    state, source = TrialState.COMPLETED, source_of(study.study_name)
    store.add_trials([Trial("flowers", CELL, curve, state, seed, source)])


def children(sink: MlflowSink) -> list[tuple[str, str, int]]:
    """Parent, status and seed of each trial's run that is there."""
    with connected(sink.uri, raising=AssertionError) as client:
        (tests,) = [e for e in client.search_experiments() if e.name == "tests"]
        runs = client.search_runs([tests.experiment_id])
    return sorted(
        (each.data.tags[PARENT_TAG], each.info.status, int(each.data.tags["metanas.seed"]))
        for each in runs
        if PARENT_TAG in each.data.tags
    )


def test_studies_of_one_name_in_two_stores_are_both_logged(sink: MlflowSink) -> None:
    one, other = searched(2), searched(3)
    logs = SearchLog(*one, sink), SearchLog(*other, sink)
    assert [log.finish() for log in logs] == [2, 3]
    assert [SearchLog(*each, sink).finish() for each in (one, other)] == [0, 0]
    wanted = [(logs[place].run, "FINISHED", seed) for place in (0, 1) for seed in range(2 + place)]
    assert children(sink) == sorted(wanted)


def test_two_processes_that_log_one_study_log_each_trial_once(sink: MlflowSink) -> None:
    study, store = searched(1)
    one, other = SearchLog(study, store, sink), SearchLog(study, store, sink)
    assert (one.push(), other.push()) == (1, 0)
    run(study, store, 1)
    assert (one.push(), other.push()) == (1, 0)
    assert [seed for _, _, seed in children(sink)] == [0, 1]


def test_a_trial_in_logging_elsewhere_is_left_alone_until_it_was_cut_off(sink: MlflowSink) -> None:
    study, store = searched(1)
    log = SearchLog(study, store, sink)
    log.push()
    with connected(sink.uri, raising=AssertionError) as client:
        (tests,) = [e for e in client.search_experiments() if e.name == "tests"]
        (child,) = [r for r in client.search_runs([tests.experiment_id]) if r.data.params]
        client.update_run(child.info.run_id, status="RUNNING")
    assert SearchLog(study, store, sink).finish() == 0
    assert [status for _, status, _ in children(sink)] == ["RUNNING"]
    with connected(sink.uri, raising=AssertionError) as client:
        client.set_tag(child.info.run_id, OPENED_TAG, str(int(time.time() - 3600) * 1000))
    assert SearchLog(study, store, sink).finish() == 1
    assert children(sink) == [(log.run, "FINISHED", 0)]


def test_a_study_logged_to_two_places_keeps_its_run_in_each(
    sink: MlflowSink, tmp_path: Path
) -> None:
    study, store = searched(2)
    (tmp_path / "second").mkdir()
    second = MlflowSink(copy_to(tmp_path / "second"), "tests")
    found = [SearchLog(study, store, each).finish() for each in (sink, second, sink, second)]
    assert found == [2, 2, 0, 0]
    # The same place by another name.
    again = MlflowSink(str(tmp_path / "mlflow.db"), "tests")
    assert SearchLog(study, store, again).finish() == 0


def test_studies_of_earlier_versions_keep_their_runs(sink: MlflowSink) -> None:
    study, store = searched(2)
    log = SearchLog(study, store, sink)
    assert log.finish() == 2
    one = [sink.uri, log.run]
    for kept in ([["http://other", "0"], one], one):
        study, _ = searched(2)
        study.set_user_attr(PARENTS, kept)
        assert SearchLog(study, store, sink).finish() == 0


def test_a_database_that_is_new_or_was_deleted_is_logged_to_anew(
    sink: MlflowSink, tmp_path: Path
) -> None:
    study, store = searched(2)
    assert SearchLog(study, store, sink).finish() == 2
    fresh = MlflowSink(f"sqlite:///{tmp_path / 'new' / 'fresh.db'}", "tests")
    assert [SearchLog(study, store, each).finish() for each in (fresh, fresh, sink)] == [2, 0, 0]
    (tmp_path / "mlflow.db").unlink()
    assert [SearchLog(study, store, each).finish() for each in (sink, sink, fresh)] == [2, 0, 0]
    assert [seed for _, _, seed in children(sink)] == [0, 1]


@pytest.mark.parametrize("wins", [False, True])
@pytest.mark.parametrize("when", ["start", "noted"])
def test_of_two_runs_opened_at_once_one_stays_and_has_each_trial_once(
    sink: MlflowSink, monkeypatch: pytest.MonkeyPatch, wins: bool, when: str
) -> None:
    """Another process logs all there is just after this one has opened its run."""
    study, store = searched(2)
    one, other = SearchLog(study, store, sink), SearchLog(study, store, sink)
    real = MlflowSink.start
    left = [True]

    def started(self: MlflowSink, name: str, settings: Mapping[str, object]) -> MlflowSink:
        """Opens runs until one's id is on the wanted side of the other's."""
        meanwhile = bool(left) and left.pop()
        if meanwhile and when == "start":
            assert other.push() == 2
        while True:
            made = real(self, name, settings)
            theirs = one.run if when == "noted" and not meanwhile else other.run
            if theirs is None or (str(made.parent) < theirs) == wins:
                return made
            made.discard()

    monkeypatch.setattr(MlflowSink, "start", started)
    one.push()
    if when == "noted":
        # The other had looked before this one's was noted.
        other._parent = other._made()
    run(study, store, 2)
    assert one.push() + other.push() >= 1
    assert one.finish() + other.finish() == 0
    assert one.run == other.run
    assert children(sink) == [(one.run, "FINISHED", seed) for seed in range(3)]
    with connected(sink.uri, raising=AssertionError) as client:
        (tests,) = [e for e in client.search_experiments() if e.name == "tests"]
        runs = client.search_runs([tests.experiment_id])
    assert [each.info.status for each in runs] == ["FINISHED"] * 4


def test_the_run_in_another_place_survives_one_that_is_opened_at_the_same_time(
    sink: MlflowSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, store = searched(1)
    second = MlflowSink(f"sqlite:///{tmp_path / 'second.db'}", "tests")
    real = MlflowSink.start

    def started(self: MlflowSink, name: str, settings: Mapping[str, object]) -> MlflowSink:
        if self.uri == sink.uri:
            assert SearchLog(study, store, second).finish() == 1
        return real(self, name, settings)

    monkeypatch.setattr(MlflowSink, "start", started)
    assert SearchLog(study, store, sink).finish() == 1
    assert [SearchLog(study, store, each).finish() for each in (sink, second)] == [0, 0]
    uris = [uri for name, uri in study.user_attrs.items() if name.startswith(PARENT)]
    assert sorted(uris) == sorted([sink.uri, second.uri])
