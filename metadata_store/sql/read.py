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
from metadata_store.records import Task
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
    """The trials that meet all conditions, in the order they came."""
    query = sa.select(
        TRIAL.c.task_id,
        TRIAL.c.metric_id,
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
    task, metric, architecture, source, grid, seed, lengths = np.concatenate(numbers, axis=1)
    architectures, spaces = _architectures(connection, architecture)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    columns = {
        "task": _names(connection, TASK, task),
        "metric": _names(connection, METRIC, metric),
        "space": spaces,
        "architecture": architectures,
        "seed": pa.array(seed, pa.int32()),
        "state": pa.chunked_array(states),
        "source": _names(connection, SOURCE, source),
        "seconds": pa.array(np.concatenate(seconds)),
        "epochs": pa.ListArray.from_arrays(offsets, _epochs(connection, grid)),
        "values": pa.ListArray.from_arrays(offsets, _floats(curves)),
        "extras": pa.chunked_array(extras),
    }
    return Trials(pa.table([columns[name] for name in SCHEMA.names], names=SCHEMA.names))


def _floats(curves: bytearray) -> pa.Array:
    return pa.array(np.frombuffer(curves, "<f4").astype(np.float32, copy=False))


def _epochs(connection: sa.Connection, grids: NDArray[np.int64]) -> pa.Array:
    """The epochs of row after row."""
    used, codes = np.unique(grids, return_inverse=True)
    texts = _column(connection, GRID, GRID.c.epochs, used)
    epochs = [np.frombuffer(text, "<i4").astype(np.int32) for text in texts]
    return pa.array(np.concatenate([epochs[code] for code in codes.tolist()]))


def _names(
    connection: sa.Connection, table: sa.Table, ids: NDArray[np.int64]
) -> pa.DictionaryArray:
    used, codes = np.unique(ids, return_inverse=True)
    return _encoded(codes, _column(connection, table, table.c.name, used))


def _architectures(
    connection: sa.Connection, ids: NDArray[np.int64]
) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    """The columns of architectures and of their spaces."""
    used, codes = np.unique(ids, return_inverse=True)
    texts = _column(connection, ARCHITECTURE, ARCHITECTURE.c.choices, used)
    space_ids = np.array(_column(connection, ARCHITECTURE, ARCHITECTURE.c.space_id, used))
    # Spaces may share a text, and a dictionary holds each text once.
    distinct = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    text_codes = np.array([distinct[text] for text in texts])[codes]
    return _encoded(text_codes, list(distinct)), _names(connection, SPACE, space_ids[codes])


def _encoded(codes: NDArray[np.int64], names: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32)), pa.array(names, pa.string())
    )


def _column(
    connection: sa.Connection, table: sa.Table, column: sa.Column[Any], ids: NDArray[np.int64]
) -> list[Any]:
    """A column's entries at these ids, which are sorted and distinct."""
    low, high = int(ids[0]), int(ids[-1])
    if high - low < 2 * len(ids):
        conditions = [table.c.id.between(low, high)]
    else:
        wanted = ids.tolist()
        starts = range(0, len(wanted), IDS_AT_ONCE)
        conditions = [table.c.id.in_(wanted[start : start + IDS_AT_ONCE]) for start in starts]
    found: dict[int, Any] = {}
    for condition in conditions:
        rows = connection.execute(sa.select(table.c.id, column).where(condition))
        found.update((number, entry) for number, entry in rows)
    return [found[number] for number in ids.tolist()]
