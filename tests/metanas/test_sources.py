import pytest

from metadata_store.errors import UnknownTask
from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.sources import LEAST, as_ended, source_trials


def filled(state: TrialState = TrialState.COMPLETED, **counts: int) -> MemoryStore:
    """A store of tables with so many trials each."""
    store = MemoryStore()
    for task, count in counts.items():
        store.add_trials(
            Trial(
                task,
                Architecture("made up", {"number": number}),
                LearningCurve("accuracy", (1,), (0.5 + number / 1000,)),
                state,
                0,
                "test",
                float("nan"),
                {},
            )
            for number in range(count)
        )
    return store


def test_of_tables_that_cannot_be_compared_those_with_more_trials_come_first() -> None:
    store = filled(few=LEAST, many=50, some=20)
    chosen, trials = source_trials(store, Task.table("new"), "made up", neighbours=2)
    assert [each.task for each in chosen] == ["many", "some"]
    assert len(trials) == 70


def test_a_task_with_hardly_a_score_and_the_task_itself_are_passed_over() -> None:
    store = filled(little=LEAST - 1, new=30)
    chosen, trials = source_trials(store, Task.table("new"), "made up", neighbours=5)
    assert chosen == []
    assert len(trials) == 0


def test_of_many_trials_some_are_drawn_the_same_each_time() -> None:
    store = filled(many=100)
    task = Task.table("new")
    _, trials = source_trials(store, task, "made up", neighbours=1, most=10)
    assert len(set(trials.architectures)) == 10
    assert list(source_trials(store, task, "made up", neighbours=1, most=10)[1]) == list(trials)
    assert len(source_trials(store, task, "made up", neighbours=1, most=None)[1]) == 100


def test_an_unknown_task_to_exclude_is_an_error() -> None:
    with pytest.raises(UnknownTask):
        source_trials(filled(many=9), Task.table("new"), "made up", neighbours=1, exclude=("mayn",))


def test_tasks_of_stopped_trials_count_where_they_are_to() -> None:
    store = filled(TrialState.STOPPED, stopped=9)
    found = [
        source_trials(store, Task.table("new"), "made up", neighbours=1, stopped=counts)[1]
        for counts in (False, True)
    ]
    assert len(found[0]) == 0
    assert found[1].stopped.all()
    scores = as_ended(found[1]).scores
    assert scores.tolist() == pytest.approx([0.5 + number / 1000 for number in range(9)])
