from dataclasses import replace

import numpy as np

from metadata_store.records import Task
from metanas.predictors.trust import trust

TASKS = {
    name: replace(Task.table(name), dcn=dcn) for name, dcn in (("a", 0.2), ("b", 0.5), ("c", 0.9))
}


def test_nearer_tasks_are_trusted_more_but_none_is_given_up() -> None:
    weights = trust(replace(Task.table("new"), dcn=0.15), TASKS, ["a", "b", "c"], 0)
    assert weights[0] > weights[1] > weights[2] > 0.05
    assert np.isclose(weights.sum(), 1.0)


def test_tables_are_trusted_alike() -> None:
    weights = trust(Task.table("new"), {}, ["a", "b", "c", "d"], 0)
    np.testing.assert_allclose(weights, 0.25)


def test_own_trials_count_the_more_there_are() -> None:
    few, many = (trust(TASKS["b"], TASKS, ["a", "b"], n)[1] for n in (2, 200))
    assert 0.0 < few < 0.2
    assert 0.8 < many < 1.0


def test_a_task_that_stands_alone_is_trusted_wholly() -> None:
    assert trust(TASKS["a"], TASKS, ["a"], 5).tolist() == [1.0]
