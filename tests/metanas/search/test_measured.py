"""Searches that replay a table."""

from __future__ import annotations

import math

import optuna
import pytest

from metadata_store.batch import Trials
from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas.evaluators.recorded import Recorded
from metanas.search.measured import Measure, replaying
from metanas.search.record import ran
from metanas.search.worker import work
from tests.contracts.searches import METRIC, SPACE, TASK, share, study_in

POINT = Architecture(SPACE.name, {"kind": "a", "rate": 0.5, "size": 3})


def table(
    values: tuple[float, ...], state: TrialState = TrialState.COMPLETED, seed: int = 0
) -> Trial:
    curve = LearningCurve(METRIC, tuple(range(1, len(values) + 1)), values)
    return Trial(TASK.name, POINT, curve, state, seed, "table")


def replays(*records: Trial) -> Measure:
    return replaying(Recorded(SPACE, Trials.of(records)), TASK)


def study_of(times: int) -> optuna.Study:
    """Tries the table's one architecture so often."""
    study = study_in(optuna.storages.InMemoryStorage())
    for _ in range(times):
        study.enqueue_trial(dict(POINT.choices))
    return study


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ((0.5, 0.75, math.nan), TrialState.COMPLETED),
        ((0.5, math.nan, 0.75), TrialState.COMPLETED),
        ((0.5, math.nan), TrialState.FAILED),
    ],
)
def test_a_replay_has_the_state_and_the_score_of_its_record(
    values: tuple[float, ...], state: TrialState
) -> None:
    record, store, study = table(values, state), MemoryStore(), study_of(1)
    work(study, share(store, replays(record), budget=1))
    (kept,) = store.trials()
    assert (kept.state, kept.score, kept.curve) == (record.state, record.score, record.curve)
    (found,) = ran(study)
    assert (found.state, found.score) == (record.state, record.score)
    assert bool(found.reason) == (state is TrialState.FAILED)


def test_a_record_without_a_number_is_a_failed_trial() -> None:
    study = study_of(1)
    work(study, share(MemoryStore(), replays(table((math.nan,))), budget=1))
    (found,) = ran(study)
    assert (found.state, found.reason) == (TrialState.FAILED, "diverged in epoch 1")


def test_a_record_replayed_again_is_stored_once_and_counts_each_time() -> None:
    records = [table((0.5, 0.75), seed=0), table((0.5, 0.625), seed=1)]
    store, study = MemoryStore(), study_of(12)
    work(study, share(store, replays(*records), budget=5))
    work(study, share(store, replays(*records), budget=12))
    kept = {each.seed: each.curve.values for each in store.trials()}
    assert sorted(kept.values()) == [(0.5, 0.625), (0.5, 0.75)]
    found = ran(study)
    assert len(found) == 12
    assert {each.seed for each in found} == set(kept)
    assert all(each.score == max(kept[each.seed]) for each in found)


def test_a_training_that_repeats_a_curve_is_a_measurement_of_its_own() -> None:
    store = MemoryStore()
    work(study_of(4), share(store, budget=4))
    assert len({each.seed for each in store.trials()}) == 4
