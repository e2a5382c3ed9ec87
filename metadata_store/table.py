"""The trial table: Parquet, one row a trial, read and written in parts.

A file is not trusted. What is read has the right columns; whether a row is
usable, `metadata_store.filters` says.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from metadata_store.batch import SCHEMA, Trials
from metadata_store.errors import UnreadableTable

ROWS_AT_ONCE = 20_000

WIDE = {"seed": pa.int64(), "epochs": pa.list_(pa.int64())}
"""Columns whose entries may exceed their type until they are screened."""


def read_tables(path: str | Path) -> Iterator[pa.Table]:
    """The rows of a file in parts, as `conform` leaves them.

    Raises:
        UnreadableTable: there is no such file, it is no Parquet, is damaged, or
            lacks a column or has one of another type.
    """
    path = Path(path)
    if not path.is_file():
        raise UnreadableTable(f"need a trial table, got {path}, which is no file")
    if path.stat().st_size == 0:
        raise UnreadableTable(f"need a trial table, got the empty file {path}")
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _require_columns(file.schema_arrow)
            for part in file.iter_batches(ROWS_AT_ONCE, columns=SCHEMA.names):
                yield conform(pa.Table.from_batches([part]))
    except (pa.ArrowException, OSError, ValueError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UnreadableTable(f"need a trial table, got {path}: {said[0]}") from error


def write_table(path: str | Path, batches: Iterable[Trials]) -> int:
    """Writes a trial table whole or not at all; a file of that name is replaced.

    Returns:
        The number of trials written.

    Raises:
        OSError: the file cannot be written; its folder must exist.
    """
    path = Path(path)
    _require_place(path)
    written = 0
    with whole(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for batch in batches:
            for start in range(0, len(batch), ROWS_AT_ONCE):
                rows = batch.table.slice(start, ROWS_AT_ONCE)
                writer.write_table(rows.cast(SCHEMA))
                written += rows.num_rows
    return written


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that gets its name at the end, and none where writing fails."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _require_place(path: Path) -> None:
    """Says what is wrong by the wanted name, which the file has only once it is whole."""
    if path.is_dir():
        raise IsADirectoryError(f"need a file to write the trial table to, got the folder {path}")
    if not path.parent.exists():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    if not path.parent.is_dir():
        raise NotADirectoryError(f"cannot write {path}: {path.parent} is no folder")


def conform(table: pa.Table) -> pa.Table:
    """The columns of `SCHEMA`, in its order, in types that hold whatever came.

    Integers become 64 bits wide. A curve's values become float32; one too large
    for that becomes infinite, which no usable row holds.

    Raises:
        ValueError: a column is missing, there twice, or of another type, or
            the table is damaged.
    """
    _require_columns(table.schema)
    table.validate(full=True)
    columns = []
    for field in SCHEMA:
        column = table.column(field.name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        columns.append(column.cast(WIDE.get(field.name, field.type), safe=False))
    return pa.table(columns, names=SCHEMA.names)


def _require_columns(schema: pa.Schema) -> None:
    missing = [name for name in SCHEMA.names if not schema.get_all_field_indices(name)]
    if missing:
        raise ValueError(
            f"it lacks the columns {', '.join(missing)}; it has {', '.join(schema.names) or 'none'}"
        )
    for field in SCHEMA:
        if len(schema.get_all_field_indices(field.name)) > 1:
            raise ValueError(f"it has the column {field.name} twice")
        came = schema.field(field.name).type
        if not _fits(came, field.type):
            raise ValueError(f"its column {field.name} must be {field.type}, got {came}")


def _fits(came: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column can be read as the wanted type, apart from single entries."""
    if pa.types.is_null(came):
        return True
    if pa.types.is_list(wanted):
        return _is_list(came) and _fits(came.value_type, wanted.value_type)
    if pa.types.is_string(wanted):
        return _is_string(came.value_type if pa.types.is_dictionary(came) else came)
    if pa.types.is_floating(wanted):
        return bool(pa.types.is_floating(came) or pa.types.is_integer(came))
    return bool(pa.types.is_integer(came))


def _is_list(came: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(kind(came) for kind in kinds)


def _is_string(came: pa.DataType) -> bool:
    return bool(pa.types.is_string(came) or pa.types.is_large_string(came))
