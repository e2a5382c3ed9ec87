"""Replaying stored curves."""

from __future__ import annotations

import math

import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.evaluators.recorded import Recorded
from metanas.protocols import Evaluator
from metanas.spaces.nasbench201 import NasBench201
from tests.contracts.evaluator import EvaluatorContract

EDGES = ("op_0_1", "op_0_2", "op_1_2", "op_0_3", "op_1_3", "op_2_3")


def cell(*ops: str, space: str = "nasbench201") -> Architecture:
    return Architecture(space, dict(zip(EDGES, ops, strict=True)))


CONV = cell("nor_conv_3x3", "none", "none", "skip_connect", "skip_connect", "none")
# The same conv beside the same skip, by way of the other inner node.
SWAPPED = cell("none", "nor_conv_3x3", "none", "skip_connect", "none", "skip_connect")
OTHER = cell(*["nor_conv_1x1"] * 6)


def trial(
    architecture: Architecture = CONV,
    values: tuple[float, ...] = (0.25, 0.5),
    *,
    task: str = "a",
    seed: int = 0,
    state: TrialState = TrialState.COMPLETED,
    source: str = "test",
) -> Trial:
    epochs = tuple(range(1, len(values) + 1))
    curve = LearningCurve("val_accuracy", epochs, values)
    return Trial(task, architecture, curve, state, seed, source)


def recorded(*trials: Trial) -> Recorded:
    return Recorded(NasBench201(), Trials.of(trials))


def values(evaluator: Recorded, architecture: Architecture, task: str, seed: int) -> list[float]:
    return [value for _, value in evaluator(architecture, Task.table(task), seed=seed)]


class TestRecorded(EvaluatorContract):
    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return recorded(
            trial(values=(0.25, 0.5, math.nan), seed=1),
            trial(values=(0.125, 0.75, 1.0), seed=2),
            trial(OTHER),
        )

    @pytest.fixture
    def architecture(self) -> Architecture:
        return CONV

    @pytest.fixture
    def task(self) -> Task:
        return Task.table("a")


def test_each_task_architecture_and_seed_has_its_own_curve() -> None:
    evaluator = recorded(
        trial(values=(0.125, 0.25)),
        trial(values=(0.375,), seed=7),
        trial(values=(0.5,), task="b"),
        trial(OTHER, values=(0.625,)),
    )
    assert values(evaluator, CONV, "a", 0) == [0.125, 0.25]
    assert values(evaluator, CONV, "a", 7) == [0.375]
    assert values(evaluator, CONV, "b", 0) == [0.5]
    assert values(evaluator, OTHER, "a", 0) == [0.625]


def test_epochs_are_those_recorded() -> None:
    sparse = Trial(
        "a", CONV, LearningCurve("val_accuracy", (1, 50), (0.25, 0.5)), TrialState.COMPLETED, 0, "t"
    )
    steps = list(recorded(sparse)(CONV, Task.table("a"), seed=0))
    assert steps == [(1, 0.25), (50, 0.5)]


def test_another_seed_picks_a_recorded_one_and_all_are_picked() -> None:
    evaluator = recorded(*[trial(values=(seed / 8,), seed=seed) for seed in (1, 2, 5)])
    picked = [values(evaluator, CONV, "a", seed)[0] for seed in range(100, 130)]
    assert set(picked) == {1 / 8, 2 / 8, 5 / 8}
    assert picked == [values(evaluator, CONV, "a", seed)[0] for seed in range(100, 130)]


def test_the_first_of_two_measurements_counts() -> None:
    evaluator = recorded(trial(values=(0.25,), source="one"), trial(values=(0.5,), source="two"))
    assert values(evaluator, CONV, "a", 0) == [0.25]


def test_an_architecture_that_computes_the_same_stands_in() -> None:
    evaluator = recorded(trial(SWAPPED, values=(0.75,)), trial(OTHER, values=(0.25,)))
    assert values(evaluator, CONV, "a", 0) == [0.75]


def test_an_architectures_own_record_comes_before_its_equals() -> None:
    evaluator = recorded(trial(SWAPPED, values=(0.75,)), trial(CONV, values=(0.25,), seed=3))
    assert values(evaluator, CONV, "a", 0) == [0.25]


@pytest.mark.parametrize("state", [TrialState.STOPPED, TrialState.FAILED])
def test_trials_cut_short_are_not_replayed_and_diverged_ones_are(state: TrialState) -> None:
    evaluator = recorded(
        trial(values=(0.5,), state=state),
        trial(values=(), state=TrialState.FAILED, seed=1),
        trial(OTHER, values=(0.5, math.nan), state=TrialState.FAILED),
    )
    with pytest.raises(ValueError, match="no record"):
        values(evaluator, CONV, "a", 0)
    first, last = values(evaluator, OTHER, "a", 0)
    assert first == 0.5
    assert math.isnan(last)


def test_a_seed_that_failed_is_answered_by_one_that_ended() -> None:
    evaluator = recorded(
        trial(values=(0.95,), state=TrialState.FAILED),
        trial(values=(0.25, 0.5), seed=1),
    )
    assert values(evaluator, CONV, "a", 0) == [0.25, 0.5]
    assert evaluator.trials.present("state") == ["completed"]


def test_no_record_says_what_there_is() -> None:
    evaluator = recorded(trial(), trial(task="b"))
    with pytest.raises(ValueError, match=r"no record of .*nor_conv_1x1.* on task 'a'.* of a, b"):
        values(evaluator, OTHER, "a", 0)
    with pytest.raises(ValueError, match="on task 'c'"):
        values(evaluator, CONV, "c", 0)


def test_an_architecture_of_another_space_is_refused() -> None:
    with pytest.raises(ValueError, match="nasbench201"):
        values(recorded(trial()), cell(*["none"] * 6, space="other"), "a", 0)


def test_nothing_to_replay_is_an_error() -> None:
    foreign = trial(cell(*["none"] * 6, space="other"))
    with pytest.raises(ValueError, match="need finished trials of space 'nasbench201'"):
        recorded(foreign)
    with pytest.raises(ValueError, match="got some of: none"):
        recorded()
    mixed = recorded(foreign, trial(values=(0.5,)))
    assert values(mixed, CONV, "a", 0) == [0.5]
