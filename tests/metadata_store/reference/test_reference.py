import json
import math
from pathlib import Path

import pytest

from metadata_store.batch import Trials
from metadata_store.filters import screen
from metadata_store.records import Task
from metadata_store.reference import (
    reference_batches,
    reference_contents,
    reference_tables,
    reference_tasks,
)
from metadata_store.table import read_tables, write_table
from metanas.spaces.darts import Darts
from metanas.spaces.nasbench201 import NasBench201
from tests.contracts.trials import a_trial

SPACES = NasBench201(), Darts()

FLOWERS = {
    "name": "flowers",
    "kind": "npz",
    "data": "flowers.npz",
    "n_samples": 9,
    "n_classes": 3,
    "input_shape": [1, 8, 8],
    "dcn": None,
    "features": {"size": 8.0},
}
"""A task as `tasks.json` has it."""


def test_a_folder_without_reference_has_none(tmp_path: Path):
    assert reference_tables(tmp_path) == []
    assert reference_tasks(tmp_path) == []
    assert list(reference_batches(tmp_path)) == []


def test_tables_and_tasks_of_a_folder_are_its_contents(tmp_path: Path):
    write_table(tmp_path / "b.parquet", [Trials.of([a_trial(1)])])
    write_table(tmp_path / "a.parquet", [Trials.of([a_trial(0)])])
    (tmp_path / "tasks.json").write_text(json.dumps([FLOWERS]))
    contents = reference_contents(tmp_path)
    flowers = Task("flowers", "npz", "flowers.npz", 9, 3, (1, 8, 8), None, {"size": 8.0})
    assert contents.tasks == [flowers]
    assert [trial for batch in contents.batches for trial in batch] == [a_trial(0), a_trial(1)]
    assert [path.name for path in reference_tables(tmp_path)] == ["a.parquet", "b.parquet"]


@pytest.mark.parametrize(
    "text", ['[{"x": 1}]', "junk", "[1]", "5", '{"a": 1}', "[" * 100_000, "[{}]"]
)
def test_a_file_of_something_else_than_tasks_is_named(text: str, tmp_path: Path):
    (tmp_path / "tasks.json").write_text(text)
    said = rf"^{tmp_path / 'tasks.json'} holds no tasks: [^\n]+$"
    with pytest.raises(ValueError, match=said):
        reference_tasks(tmp_path)


NO_NUMBERS = (math.nan, math.inf, -math.inf, 10**400)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("kind", None),
        ("data", 3),
        ("n_samples", 3.5),
        ("n_samples", True),
        ("n_samples", "9"),
        ("n_classes", 2.5),
        ("input_shape", 3),
        ("input_shape", [1, 8.5, 8]),
        ("input_shape", "188"),
        ("dcn", "0.5"),
        ("features", [1]),
        ("features", {"size": "y"}),
        ("features", None),
        *(("dcn", no) for no in NO_NUMBERS),
        *(("features", {"size": no}) for no in NO_NUMBERS),
    ],
)
def test_a_field_of_another_kind_is_named(field: str, value: object, tmp_path: Path):
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps([FLOWERS, {**FLOWERS, field: value}]))
    with pytest.raises(ValueError, match=rf"^{file} holds no tasks: {field} [^\n]+$"):
        reference_tasks(tmp_path)


def shipped() -> Trials:
    return Trials.concat(reference_batches())


def test_all_that_ships_is_usable_and_of_a_listed_task():
    assert reference_tables()
    names = {task.name for task in reference_tasks()}
    for path in reference_tables():
        for table in read_tables(path):
            batch, rejected = screen(table, {space.name: space.domain for space in SPACES})
            assert rejected == {}
            assert list(batch) == list(Trials(table))
            assert set(batch.present("task")) <= names
            assert len(batch.present("space")) == 1


def test_every_shipped_task_has_features_and_a_dcn():
    tasks = reference_tasks()
    assert len({task.name for task in tasks}) == len(tasks) >= 8
    for task in tasks:
        assert task.features
        assert task.dcn is not None


@pytest.mark.parametrize(("space", "tasks", "least"), [("nasbench201", 16, 200), ("darts", 4, 100)])
def test_tasks_have_the_same_architectures_of_a_space(space: str, tasks: int, least: int):
    trials = shipped().where(space=space)
    by_task = {name: set(trials.where(task=name).architectures) for name in trials.present("task")}
    assert len(by_task) == tasks
    first = next(iter(by_task.values()))
    assert len(first) >= least
    assert {name for name, found in by_task.items() if found != first} == set()


def test_every_shipped_trial_is_completed():
    trials = shipped()
    assert trials.completed.all()
    assert trials.lengths.min() >= 12
