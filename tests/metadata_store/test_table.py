from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_store.batch import SCHEMA, Trials
from metadata_store.errors import UnreadableTable
from metadata_store.table import ROWS_AT_ONCE, conform, read_tables, write_table
from tests.contracts.any_trial import trials
from tests.contracts.trials import a_trial


def read(path: Path) -> list:
    return [trial for table in read_tables(path) for trial in Trials(conformed(table))]


def conformed(table: pa.Table) -> pa.Table:
    return table.cast(SCHEMA)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "trials.parquet"


@pytest.fixture
def table() -> pa.Table:
    return pa.table(Trials.of([a_trial(0), a_trial(1)]).table).cast(SCHEMA)


class TestWriting:
    @settings(max_examples=50, deadline=None)
    @given(written=st.lists(trials(), max_size=4))
    def test_every_field_of_any_trial_round_trips(self, path: Path, written: list) -> None:
        assert write_table(path, [Trials.of(written)]) == len(written)
        assert read(path) == written

    def test_the_columns_are_those_of_the_trial_table(self, tmp_path: Path) -> None:
        write_table(tmp_path / "t.parquet", [Trials.of([a_trial()])])
        schema = pq.read_schema(tmp_path / "t.parquet")
        assert schema.names == SCHEMA.names
        assert [field.type for field in schema] == [field.type for field in SCHEMA]

    def test_batches_become_one_table_in_their_order(self, tmp_path: Path) -> None:
        batches = [Trials.of([a_trial(n), a_trial(n + 1)]) for n in (0, 2, 4)]
        assert write_table(tmp_path / "t.parquet", iter(batches)) == 6
        assert read(tmp_path / "t.parquet") == [a_trial(n) for n in range(6)]

    def test_no_trials_make_an_empty_table(self, tmp_path: Path) -> None:
        assert write_table(tmp_path / "t.parquet", []) == 0
        assert list(read_tables(tmp_path / "t.parquet")) == []

    def test_a_failure_leaves_the_file_and_its_folder_as_they_were(self, tmp_path: Path) -> None:
        def broken():
            yield Trials.of([a_trial(1)])
            raise RuntimeError("broke")

        path = tmp_path / "t.parquet"
        write_table(path, [Trials.of([a_trial()])])
        with pytest.raises(RuntimeError, match="broke"):
            write_table(path, broken())
        assert read(path) == [a_trial()]
        assert list(tmp_path.iterdir()) == [path]

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "nowhere" / "t.parquet"
        with pytest.raises(FileNotFoundError) as caught:
            write_table(path, [])
        assert str(caught.value) == f"cannot write {path}: there is no folder {path.parent}"

    def test_a_file_in_place_of_the_folder_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "file" / "t.parquet"
        path.parent.touch()
        with pytest.raises(NotADirectoryError) as caught:
            write_table(path, [])
        assert str(caught.value) == f"cannot write {path}: {path.parent} is no folder"

    def test_a_folder_of_the_wanted_name_is_kept(self, tmp_path: Path) -> None:
        with pytest.raises(IsADirectoryError) as caught:
            write_table(tmp_path, [])
        assert str(caught.value).endswith(f"got the folder {tmp_path}")


class TestReading:
    def test_a_table_is_read_in_parts(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        one = Trials.of([a_trial()])
        rows = 2 * ROWS_AT_ONCE + 1
        write_table(path, [one.take([0] * rows)])
        sizes = [part.num_rows for part in read_tables(path)]
        assert sum(sizes) == rows
        assert max(sizes) <= ROWS_AT_ONCE

    @pytest.mark.parametrize(
        ("column", "type_"),
        [
            ("task", pa.large_string()),
            ("architecture", pa.dictionary(pa.int32(), pa.string())),
            ("source", pa.dictionary(pa.int8(), pa.large_string())),
            ("seed", pa.int64()),
            ("seed", pa.uint8()),
            ("seconds", pa.float32()),
            ("epochs", pa.large_list(pa.int64())),
            ("epochs", pa.list_(pa.uint64())),
            ("values", pa.list_(pa.float64())),
            ("values", pa.list_(pa.float32(), 3)),
        ],
        ids=str,
    )
    def test_types_that_hold_the_same_are_read_alike(
        self, tmp_path: Path, table: pa.Table, column: str, type_: pa.DataType
    ) -> None:
        index = SCHEMA.get_field_index(column)
        other = table.set_column(index, column, _cast(table.column(column), type_))
        pq.write_table(other, tmp_path / "t.parquet")
        assert read(tmp_path / "t.parquet") == [a_trial(0), a_trial(1)]
        assert list(Trials(conformed(conform(other)))) == [a_trial(0), a_trial(1)]

    def test_order_and_further_columns_do_not_matter(self, tmp_path: Path, table: pa.Table) -> None:
        other = table.select(SCHEMA.names[::-1]).append_column("note", pa.array(["a", "b"]))
        pq.write_table(other, tmp_path / "t.parquet")
        assert read(tmp_path / "t.parquet") == [a_trial(0), a_trial(1)]

    def test_pandas_writes_readable_tables(self, tmp_path: Path, table: pa.Table) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(table.to_pylist())
        frame.to_parquet(tmp_path / "t.parquet")
        assert read(tmp_path / "t.parquet") == [a_trial(0), a_trial(1)]


class TestRefusing:
    def refuses(self, path: Path, says: str) -> None:
        with pytest.raises(UnreadableTable, match=says) as caught:
            list(read_tables(path))
        line = str(caught.value)
        assert line.startswith("need a trial table, got")
        assert path.name in line
        assert "\n" not in line

    def test_a_missing_file(self, tmp_path: Path) -> None:
        self.refuses(tmp_path / "nowhere.parquet", "no file")

    def test_a_folder(self, tmp_path: Path) -> None:
        self.refuses(tmp_path, "no file")

    def test_an_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        path.touch()
        self.refuses(path, "empty file")

    def test_a_file_of_something_else(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        path.write_text("task,metric\nflowers,accuracy\n" * 10)
        self.refuses(path, "Parquet")

    @pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
    def test_a_truncated_file(self, tmp_path: Path, kept: float) -> None:
        path = tmp_path / "t.parquet"
        write_table(path, [Trials.of([a_trial(n) for n in range(50)])])
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * kept)])
        self.refuses(path, "t.parquet")

    def test_a_file_damaged_inside(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        write_table(path, [Trials.of([a_trial(n) for n in range(500)])])
        whole = bytearray(path.read_bytes())
        whole[4 : len(whole) // 2] = b"\xff" * (len(whole) // 2 - 4)
        path.write_bytes(whole)
        self.refuses(path, "t.parquet")

    def test_missing_columns(self, tmp_path: Path, table: pa.Table) -> None:
        pq.write_table(table.drop_columns(["seed", "extras"]), tmp_path / "t.parquet")
        self.refuses(tmp_path / "t.parquet", "lacks the columns seed, extras; it has task, metric")

    def test_no_columns_at_all(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({}), tmp_path / "t.parquet")
        self.refuses(tmp_path / "t.parquet", "it has none")

    @pytest.mark.parametrize(
        ("column", "came"),
        [
            ("task", pa.array([1, 2])),
            ("architecture", pa.array([{"op": "a"}, {"op": "b"}])),
            ("seed", pa.array(["0", "1"])),
            ("seed", pa.array([0.0, 1.0])),
            ("seconds", pa.array(["1", "2"])),
            ("epochs", pa.array([1, 2])),
            ("epochs", pa.array([[1.0], [2.0]])),
            ("values", pa.array([["high"], ["low"]])),
            ("extras", pa.array([b"{}", b"{}"])),
        ],
        ids=lambda value: value if isinstance(value, str) else str(value.type),
    )
    def test_a_column_of_another_type(
        self, tmp_path: Path, table: pa.Table, column: str, came: pa.Array
    ) -> None:
        other = table.set_column(SCHEMA.get_field_index(column), column, came)
        pq.write_table(other, tmp_path / "t.parquet")
        self.refuses(tmp_path / "t.parquet", f"its column {column} must be .*, got ")

    def test_a_column_that_is_there_twice(self, tmp_path: Path, table: pa.Table) -> None:
        other = table.append_column("seed", table.column("seed"))
        pq.write_table(other, tmp_path / "t.parquet")
        self.refuses(tmp_path / "t.parquet", "the column seed twice")

    def test_text_that_is_no_utf8(self, tmp_path: Path, table: pa.Table) -> None:
        raw = pa.array([b"\xff\xfe", b"ok"]).view(pa.string())
        other = table.set_column(0, "task", raw)
        pq.write_table(other, tmp_path / "t.parquet")
        self.refuses(tmp_path / "t.parquet", "(?i)utf")


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(wanted):
        whole = column.cast(wanted.value_type).combine_chunks().dictionary_encode()
        return pa.chunked_array([whole.cast(wanted)])
    return column.cast(wanted)
