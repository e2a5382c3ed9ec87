"""What every importer must do."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metadata_store.batch import SCHEMA, Trials
from metadata_store.filters import screen
from metanas.importers import Importer


def read(importer: Importer, location: str) -> Trials:
    """All rows; none may be unusable."""
    trials, rejected = screen(pa.concat_tables(importer(location)), {})
    assert rejected == {}
    return trials


class ImporterContract:
    """Subclasses give the fixtures; a location may have options after the path."""

    @pytest.fixture
    def importer(self) -> Importer:
        raise NotImplementedError

    @pytest.fixture
    def location(self) -> str:
        """Something good to read."""
        raise NotImplementedError

    @pytest.fixture
    def file(self, location: str) -> Path:
        """The file behind the location, or one of them."""
        return Path(location.partition("#")[0].removeprefix("sqlite:///"))

    @pytest.fixture
    def other_layout(self) -> bytes:
        """What the file would hold if it were of the same kind, but of another layout."""
        raise NotImplementedError

    def test_every_chunk_has_the_columns_of_the_trial_table(
        self, importer: Importer, location: str
    ) -> None:
        tables = list(importer(location))
        assert tables
        assert all(table.column_names == SCHEMA.names for table in tables)

    def test_every_row_is_usable(self, importer: Importer, location: str) -> None:
        assert len(read(importer, location)) > 0

    def test_two_readings_give_the_same_rows(self, importer: Importer, location: str) -> None:
        assert list(read(importer, location)) == list(read(importer, location))

    def test_rows_are_made_as_they_are_asked_for(self, importer: Importer, location: str) -> None:
        tables = importer(location)
        assert isinstance(tables, Iterator)
        assert next(tables).num_rows > 0

    def test_reading_leaves_the_folder_as_it_was(
        self, importer: Importer, location: str, file: Path
    ) -> None:
        before = sorted(file.parent.iterdir()), file.read_bytes()
        read(importer, location)
        assert (sorted(file.parent.iterdir()), file.read_bytes()) == before

    def test_a_missing_file_is_an_error_that_names_it(
        self, importer: Importer, tmp_path: Path
    ) -> None:
        missing = tmp_path / "nowhere" / "missing.file"
        assert_refused(importer, str(missing), "missing.file")
        assert not missing.parent.exists()

    def test_an_empty_file_is_an_error_that_names_it(
        self, importer: Importer, location: str, file: Path
    ) -> None:
        file.write_bytes(b"")
        assert_refused(importer, location, file.name)
        assert file.read_bytes() == b""

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
    def test_a_truncated_file_is_an_error_that_names_it(
        self, importer: Importer, location: str, file: Path, share: float
    ) -> None:
        whole = file.read_bytes()
        file.write_bytes(whole[: int(len(whole) * share)])
        assert_refused(importer, location, file.name)

    def test_a_file_of_noise_is_an_error_that_names_it(
        self, importer: Importer, location: str, file: Path
    ) -> None:
        file.write_bytes(bytes(range(256)) * 40)
        assert_refused(importer, location, file.name)

    def test_another_layout_is_an_error_that_names_the_file(
        self, importer: Importer, location: str, file: Path, other_layout: bytes
    ) -> None:
        file.write_bytes(other_layout)
        assert_refused(importer, location, file.name)


class PickleContract:
    """What an importer that reads pickles must do besides."""

    @pytest.fixture
    def pickled(self, malice: Malice) -> bytes:
        """The file's content, holding `malice`."""
        raise NotImplementedError

    @pytest.fixture
    def malice(self, tmp_path: Path) -> Malice:
        return Malice(tmp_path / "was here")

    def test_a_pickle_that_calls_something_is_refused_before_the_call(
        self, importer: Importer, location: str, file: Path, malice: Malice, pickled: bytes
    ) -> None:
        file.write_bytes(pickled)
        assert_refused(importer, location, "refused")
        assert not malice.trace.exists()
        pickle.loads(pickle.dumps(malice))
        assert malice.trace.exists()


class Malice:
    """An object whose unpickling makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def assert_refused(importer: Importer, location: str, *words: str) -> None:
    """A ValueError of one line that holds these words, and no row of a broken file."""
    with pytest.raises(ValueError, match=r".") as caught:
        list(importer(location))
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    for word in words:
        assert word in text
