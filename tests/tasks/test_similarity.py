from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_store.records import Task
from tasks.similarity import DCN, SCALES, UNRELATED, distance, nearest

NAMES = [name for name in SCALES if name != DCN]
FEATURES = st.dictionaries(st.sampled_from(NAMES), st.floats(-5, 5), max_size=len(NAMES))
TASKS = st.builds(
    lambda name, dcn, features: Task(name, "idx", "", 10, 2, (1, 8, 8), dcn, features),
    st.text("abc", min_size=1, max_size=3),
    st.none() | st.floats(0, 1),
    FEATURES,
)


def task(name: str, dcn: float | None = None, **features: float) -> Task:
    return Task(name, "idx", "", 10, 2, (1, 8, 8), dcn, features)


@given(TASKS, TASKS)
def test_distance_is_symmetric_and_never_negative(a: Task, b: Task) -> None:
    assert distance(a, b) == distance(b, a) >= 0.0


@given(TASKS)
def test_a_task_is_at_no_distance_from_itself(a: Task) -> None:
    assert distance(a, a) == 0.0


@given(TASKS, st.lists(TASKS, max_size=6), st.integers(1, 8))
def test_weights_sum_to_one_and_fall_with_distance(a: Task, others: list[Task], k: int) -> None:
    found = nearest(a, others, k)
    assert len(found) == min(k, len(others))
    if found:
        assert sum(each.weight for each in found) == pytest.approx(1.0)
    for near, far in pairwise(found):
        assert near.distance <= far.distance
        assert near.weight >= far.weight
        assert math.isfinite(far.weight)


@given(TASKS, st.lists(TASKS, min_size=2, max_size=6))
def test_the_order_of_the_others_changes_no_distance(a: Task, others: list[Task]) -> None:
    forward = sorted(each.distance for each in nearest(a, others, 6))
    backward = sorted(each.distance for each in nearest(a, others[::-1], 6))
    assert forward == pytest.approx(backward)


def test_the_same_measurements_under_other_names_are_at_no_distance() -> None:
    assert distance(task("a", 0.5, channels=1.0), task("b", 0.5, channels=1.0)) == 0.0


def test_difficulty_counts() -> None:
    new = task("new", 0.5, channels=3.0)
    found = nearest(new, [task("easy", 0.95, channels=3.0), task("alike", 0.52, channels=3.0)], 2)
    assert [each.task for each in found] == ["alike", "easy"]


def test_features_decide_between_equal_difficulties() -> None:
    new = task("new", 0.5, channels=3.0, log_classes=2.3)
    grey = task("grey", 0.5, channels=1.0, log_classes=0.7)
    colour = task("colour", 0.5, channels=3.0, log_classes=2.2)
    assert nearest(new, [grey, colour], 1)[0].task == "colour"


def test_tasks_known_by_their_trials_weigh_the_same() -> None:
    others = [Task.table(name) for name in "abcd"]
    found = nearest(task("new", 0.5), others, 4)
    assert [each.task for each in found] == list("abcd")
    assert [each.weight for each in found] == pytest.approx([0.25] * 4)
    assert {each.distance for each in found} == {UNRELATED}


def test_the_dcn_alone_can_be_compared() -> None:
    new = task("new", 0.5, channels=1.0)
    found = nearest(new, [task("far", 0.9), task("near", 0.55), Task.table("unknown")], 3)
    assert [each.task for each in found] == ["near", "far", "unknown"]


def test_a_measurement_that_is_not_finite_is_left_out() -> None:
    assert distance(task("a", channels=math.nan), task("b", channels=1.0)) == UNRELATED


def test_far_from_everything_no_task_decides_alone() -> None:
    new = task("new", 0.0, log_classes=50.0)
    found = nearest(new, [task("a", 1.0, log_classes=1.0), task("b", 1.0, log_classes=0.0)], 2)
    assert found[0].weight < 0.7


def test_a_spread_that_is_usual_here_counts_less() -> None:
    others = [task(str(i), 0.5, log_classes=3.0 * i) for i in range(12)]
    new = task("new", 0.5, log_classes=0.0)
    assert nearest(new, others, 2)[1].distance < distance(new, others[1])


def test_no_others_give_no_neighbours() -> None:
    assert nearest(task("new"), [], 3) == []


def test_k_must_be_positive() -> None:
    with pytest.raises(ValueError, match="need at least one neighbour, got k=0"):
        nearest(task("new"), [task("a")], 0)


def test_a_task_that_cannot_be_compared_is_never_nearer_than_one_that_can() -> None:
    far = task("far", dcn=1.0, log_classes=9.0)
    found = nearest(task("here", dcn=0.0, log_classes=0.0), [task("unknown"), far], 2)
    assert found[0].distance == found[1].distance > UNRELATED
