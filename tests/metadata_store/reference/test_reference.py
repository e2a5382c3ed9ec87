import json
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
from tests.contracts.trials import a_trial


def test_a_folder_without_reference_has_none(tmp_path: Path):
    assert reference_tables(tmp_path) == []
    assert reference_tasks(tmp_path) == []
    assert list(reference_batches(tmp_path)) == []


def test_tables_and_tasks_of_a_folder_are_its_contents(tmp_path: Path):
    write_table(tmp_path / "b.parquet", [Trials.of([a_trial(1)])])
    write_table(tmp_path / "a.parquet", [Trials.of([a_trial(0)])])
    fields = {
        "name": "flowers",
        "kind": "npz",
        "data": "flowers.npz",
        "n_samples": 9,
        "n_classes": 3,
        "input_shape": [1, 8, 8],
        "dcn": None,
        "features": {"size": 8.0},
    }
    (tmp_path / "tasks.json").write_text(json.dumps([fields]))
    contents = reference_contents(tmp_path)
    flowers = Task("flowers", "npz", "flowers.npz", 9, 3, (1, 8, 8), None, {"size": 8.0})
    assert contents.tasks == [flowers]
    assert [trial for batch in contents.batches for trial in batch] == [a_trial(0), a_trial(1)]
    assert [path.name for path in reference_tables(tmp_path)] == ["a.parquet", "b.parquet"]


def test_all_that_ships_is_usable_and_of_a_listed_task():
    if not reference_tables():
        pytest.skip("no reference trials are built")
    names = {task.name for task in reference_tasks()}
    for path in reference_tables():
        for table in read_tables(path):
            batch, rejected = screen(table, {})
            assert rejected == {}
            assert list(batch) == list(Trials(table))
            assert set(batch.present("task")) <= names
