from dataclasses import replace

import numpy as np
import pytest

from metadata_store.records import Task
from metanas.predictors.trust import BELIEFS, Belief, learn_belief, trust

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


def ten_tasks(alike: float) -> tuple[np.ndarray, dict[str, Task]]:
    """Tasks along a line of DCN; `alike` says how much a task's scores are its side's."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 40))
    names = [f"t{i}" for i in range(10)]
    tasks = {name: replace(Task.table(name), dcn=0.1 * i) for i, name in enumerate(names)}
    own = rng.normal(size=(10, 40))
    sides = np.stack([left] * 5 + [right] * 5)
    return alike * sides + (1 - alike) * own, tasks


def test_where_similar_tasks_rank_alike_only_they_are_believed() -> None:
    normal, tasks = ten_tasks(alike=0.8)
    belief = learn_belief(normal, normal, tasks, list(tasks))
    assert belief.even < Belief().even
    weights = trust(replace(Task.table("new"), dcn=0.05), tasks, list(tasks), 0, belief)
    assert weights[:5].sum() > 0.8


def test_the_clearer_the_predictions_the_fewer_are_needed() -> None:
    rng = np.random.default_rng(0)
    along = np.linspace(0.0, 1.0, 10)[:, None]
    true = (1 - along) * rng.normal(size=400) + along * rng.normal(size=400)
    noisy = true + 3.0 * rng.normal(size=true.shape)
    _, tasks = ten_tasks(alike=0.0)
    of_noisy = learn_belief(noisy, noisy, tasks, list(tasks))
    of_clear = learn_belief(noisy, true, tasks, list(tasks))
    target = replace(Task.table("new"), dcn=0.02)
    share = [
        trust(target, tasks, list(tasks), 0, belief)[:4].sum() for belief in (of_noisy, of_clear)
    ]
    assert share[1] > share[0] + 0.05


def test_where_all_tasks_are_equally_near_the_usual_is_kept() -> None:
    normal, tasks = ten_tasks(alike=0.8)
    alike = {name: replace(task, dcn=0.5) for name, task in tasks.items()}
    assert learn_belief(normal, normal, alike, list(alike)) == Belief()


def test_few_tasks_or_few_architectures_teach_nothing() -> None:
    normal, tasks = ten_tasks(alike=0.8)
    assert learn_belief(normal[:3], normal[:3], tasks, list(tasks)[:3]) == Belief()
    few = np.where(np.arange(40) // 4 == np.arange(10)[:, None], normal, np.nan)
    assert learn_belief(few, normal, tasks, list(tasks)) == Belief()


def test_tasks_need_not_share_architectures() -> None:
    normal, tasks = ten_tasks(alike=0.8)
    apart = np.where(np.arange(40) % 5 == np.arange(10)[:, None] % 5, normal, np.nan)
    assert learn_belief(apart, normal, tasks, list(tasks)).even < Belief().even


def test_the_usual_belief_is_one_of_those_tried() -> None:
    assert Belief() in BELIEFS


def test_a_belief_that_gains_surely_goes_before_one_that_gains_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = BELIEFS.index(Belief())
    sure, risky = [i for i in range(len(BELIEFS)) if i != usual][:2]
    qualities = np.full((6, len(BELIEFS)), 0.5)
    qualities[:, sure] += 0.01
    qualities[0, risky] += 0.2  # much, but on one task of six
    monkeypatch.setattr(
        "metanas.predictors.trust._foretold", lambda row, *given: qualities[row].tolist()
    )
    tasks = {f"t{i}": Task.table(f"t{i}") for i in range(6)}
    none = np.zeros((6, 8))
    found = learn_belief(none, none, tasks, list(tasks))
    assert found == BELIEFS[sure]
    qualities[:, sure] -= 0.02
    assert learn_belief(none, none, tasks, list(tasks)) == Belief()
