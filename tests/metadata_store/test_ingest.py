from pathlib import Path

import pyarrow as pa
import pytest

from metadata_store.batch import SCHEMA, Trials
from metadata_store.ingest import Ingested, ingest
from metadata_store.memory import MemoryStore
from metadata_store.store import open_store
from metadata_store.table import read_tables, write_table
from tests.contracts.trials import a_trial

DOMAINS = {"cells": {"op": ("conv",), "number": (0, 1, 2, 3)}}


def tables(*trials) -> list[pa.Table]:
    """One table a trial."""
    return [Trials.of([trial]).table for trial in trials]


def test_new_known_and_unusable_rows_are_counted():
    store = MemoryStore()
    store.add_trials([a_trial(0)])
    report = ingest(store, tables(a_trial(0), a_trial(1), a_trial(9), a_trial(8)), DOMAINS)
    assert report == Ingested(added=1, known=1, rejected={"unknown choice": 2})
    assert list(store.trials()) == [a_trial(0), a_trial(1)]


def test_a_second_time_all_are_known():
    store = MemoryStore()
    ingest(store, tables(a_trial(0), a_trial(1)), DOMAINS)
    assert ingest(store, tables(a_trial(0), a_trial(1)), DOMAINS) == Ingested(0, 2, {})


def test_one_spelled_otherwise_is_known():
    store = MemoryStore()
    store.add_trials([a_trial(1)])
    table = tables(a_trial(1))[0].cast(SCHEMA)
    spelled = table.set_column(3, "architecture", pa.array(['{"op":"conv","number":1}']))
    assert ingest(store, [spelled], DOMAINS) == Ingested(0, 1, {})


def test_nothing_is_kept_where_the_tables_break_off():
    def broken():
        yield from tables(a_trial(0), a_trial(1))
        raise RuntimeError("broke")

    store = MemoryStore()
    with pytest.raises(RuntimeError, match="broke"):
        ingest(store, broken(), DOMAINS)
    assert store.info().trials == 0


def test_others_may_write_while_the_tables_are_read(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"

    def slowly():
        yield from tables(a_trial(0), a_trial(1))
        with open_store(url) as other:
            assert other.add_trials([a_trial(2)]) == 1
        yield from tables(a_trial(2), a_trial(3))

    with open_store(url) as store:
        assert ingest(store, slowly(), DOMAINS) == Ingested(3, 1, {})
        assert store.info().trials == 4


def test_a_table_of_other_columns_leaves_the_store_as_it_was():
    store = MemoryStore()
    with pytest.raises(ValueError, match="lacks the columns"):
        ingest(store, [*tables(a_trial(0)), pa.table({"task": ["a"]})], DOMAINS)
    assert store.info().trials == 0


def test_a_file_is_carried_over_whole(tmp_path: Path):
    store, other = MemoryStore(), MemoryStore()
    store.add_trials([a_trial(number, seed=seed) for number in range(4) for seed in range(5)])
    write_table(tmp_path / "t.parquet", [store.batch()])
    assert ingest(other, read_tables(tmp_path / "t.parquet"), DOMAINS) == Ingested(20, 0, {})
    assert list(other.trials()) == list(store.trials())


@pytest.mark.parametrize(
    "name",
    [
        "nasbench201_cifar10.parquet",
        "lcbench_surrogate_24tasks.parquet",
        "taskset_8tasks.parquet",
    ],
)
def test_published_tables_are_taken_whole(name: str):
    path = Path(__file__).parents[3] / "shared" / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    store = MemoryStore()
    report = ingest(store, read_tables(path), {})
    assert report.added > 5_000
    assert (report.known, report.rejected) == (0, {})
