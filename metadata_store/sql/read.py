"""Rows of the tables back into a batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from metadata_store.batch import SCHEMA, Trials
from metadata_store.errors import StoreError
from metadata_store.records import INT32_MAX, Task
from metadata_store.sql.schema import ARCHITECTURE, GRID, METRIC, SOURCE, SPACE, TASK, TRIAL

ROWS_AT_ONCE = 10_000
IDS_AT_ONCE = 1_000


def task_of(row: Any) -> Task:
    """The task of a row of `TASK`."""
    return Task(
        name=row.name,
        kind=row.kind,
        data=row.data,
        n_samples=row.n_samples,
        n_classes=row.n_classes,
        input_shape=tuple(json.loads(row.input_shape)),
        dcn=row.dcn,
        features=json.loads(row.features),
    )


def matching(tasks: Sequence[str] | None, space: str | None) -> list[sa.ColumnElement[bool]]:
    """Conditions on `TRIAL`: of some tasks, of one space."""
    conditions: list[sa.ColumnElement[bool]] = []
    if tasks is not None:
        named = sa.select(TASK.c.id).where(TASK.c.name.in_(tasks))
        conditions.append(TRIAL.c.task_id.in_(named))
    if space is not None:
        named = sa.select(SPACE.c.id).where(SPACE.c.name == space)
        conditions.append(TRIAL.c.space_id.in_(named))
    return conditions


def read_batch(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> Trials:
    """The trials that meet all conditions, in the order they came.

    Raises:
        StoreError: their curves hold more points than a batch can.
    """
    query = sa.select(
        TRIAL.c.task_id,
        TRIAL.c.metric_id,
        TRIAL.c.space_id,
        TRIAL.c.architecture_id,
        TRIAL.c.source_id,
        TRIAL.c.grid_id,
        TRIAL.c.seed,
        TRIAL.c.n_points,
        TRIAL.c.seconds,
        TRIAL.c.state,
        TRIAL.c.extras,
        TRIAL.c.curve,
    )
    result = connection.execution_options(stream_results=True).execute(
        query.where(*conditions).order_by(TRIAL.c.id)
    )
    numbers: list[NDArray[np.int64]] = []
    seconds: list[NDArray[np.float64]] = []
    states: list[pa.Array] = []
    extras: list[pa.Array] = []
    curves = bytearray()
    for rows in result.partitions(ROWS_AT_ONCE):
        *whole, times, ends, further, values = zip(*rows, strict=True)
        numbers.append(np.array(whole, np.int64))
        seconds.append(np.array(times, np.float64))  # None becomes NaN
        states.append(pa.array(ends, pa.string()).dictionary_encode())
        extras.append(pa.array(further, pa.string()))
        curves += b"".join(values)
    if not numbers:
        return Trials.of([])
    ids = np.concatenate(numbers, axis=1)
    numbers.clear()  # a million trials count: every column is in memory once
    task, metric, space, architecture, source, grid, seed, lengths = ids
    offsets = offsets_of(lengths)
    columns = {
        "task": _encoded(connection, TASK.c.name, task),
        "metric": _encoded(connection, METRIC.c.name, metric),
        "space": _encoded(connection, SPACE.c.name, space),
        "architecture": _encoded(connection, ARCHITECTURE.c.choices, architecture),
        "seed": pa.array(seed, pa.int32()),
        "state": pa.chunked_array(states),
        "source": _encoded(connection, SOURCE.c.name, source),
        "seconds": pa.array(np.concatenate(seconds)),
        "epochs": pa.ListArray.from_arrays(offsets, _epochs(connection, grid)),
        "values": pa.ListArray.from_arrays(offsets, _floats(curves)),
        "extras": pa.chunked_array(extras),
    }
    return Trials(pa.table([columns[name] for name in SCHEMA.names], names=SCHEMA.names))


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Where each of n curves begins and the last one ends, shape (n + 1,).

    Raises:
        StoreError: the end is past what 32 bits count.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if offsets[-1] > INT32_MAX:
        raise StoreError(
            f"need at most {INT32_MAX:,} points in the curves of one batch, got {offsets[-1]:,}; "
            "read fewer tasks at once"
        )
    return offsets.astype(np.int32)


def _floats(curves: bytearray) -> pa.Array:
    return pa.array(np.frombuffer(curves, "<f4").astype(np.float32, copy=False))


def _epochs(connection: sa.Connection, ids: NDArray[np.int64]) -> pa.Array:
    """The epochs of row after row, by the ids of their grids."""
    used, codes = np.unique(ids, return_inverse=True)
    texts, rows = _entries(connection, GRID.c.epochs, used)
    grids = texts.take(pa.array(rows)).to_pylist()
    epochs = [np.frombuffer(grid, "<i4").astype(np.int32) for grid in grids]
    return pa.array(np.concatenate([epochs[code] for code in codes.tolist()]))


def _encoded(
    connection: sa.Connection, column: sa.Column[str], ids: NDArray[np.int64]
) -> pa.DictionaryArray:
    """A column of another table by the ids there, one a row."""
    used, codes = np.unique(ids, return_inverse=True)
    # Rows may share a text, as spaces do that have the same choices.
    texts, rows = _entries(connection, column, used)
    encoded = texts.dictionary_encode().combine_chunks()
    codes = encoded.indices.to_numpy()[rows][codes]
    del texts
    pa.default_memory_pool().release_unused()  # a million texts were held twice
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), encoded.dictionary)


def _entries(
    connection: sa.Connection, column: sa.Column[Any], ids: NDArray[np.int64]
) -> tuple[pa.ChunkedArray, NDArray[np.int64]]:
    """Entries of a column, and which of them are at these sorted, distinct ids."""
    key = column.table.c.id
    low, high = int(ids[0]), int(ids[-1])
    if high - low < 2 * len(ids):
        conditions = [key.between(low, high)]
    else:
        wanted = ids.tolist()
        starts = range(0, len(wanted), IDS_AT_ONCE)
        conditions = [key.in_(wanted[start : start + IDS_AT_ONCE]) for start in starts]
    found: list[NDArray[np.int64]] = []
    entries: list[pa.Array] = []
    for condition in conditions:
        result = connection.execute(sa.select(key, column).where(condition).order_by(key))
        for rows in result.partitions(ROWS_AT_ONCE):
            numbers, texts = zip(*rows, strict=True)
            found.append(np.array(numbers, np.int64))
            entries.append(pa.array(texts))
    return pa.chunked_array(entries), np.searchsorted(np.concatenate(found), ids)
