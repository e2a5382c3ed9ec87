"""Batches into the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects import postgresql, sqlite

from metadata_store.batch import Trials
from metadata_store.records import Task, architecture_key, require_storable
from metadata_store.sql.schema import ARCHITECTURE, GRID, METRIC, SOURCE, SPACE, TASK, TRIAL

Row = Mapping[str, Any]
Ids = Mapping[str, Mapping[str, int]]

INSERT: Mapping[str, Callable[[sa.Table], Any]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""By dialect, an INSERT that can pass over what is known."""

AT_ONCE = 1_000
"""Names looked up in one query."""

FIND = {
    table.name: sa.select(key, table.c.id).where(key.in_(sa.bindparam("names", expanding=True)))
    for table, key in [(table, table.c.name) for table in (TASK, SPACE, SOURCE, METRIC)]
    + [(table, table.c.key) for table in (ARCHITECTURE, GRID)]
}
"""By table, the query for ids by name or key."""


def task_row(task: Task) -> Row:
    """The columns of `TASK`."""
    return {
        "name": task.name,
        "kind": task.kind,
        "data": task.data,
        "n_samples": task.n_samples,
        "n_classes": task.n_classes,
        "input_shape": json.dumps(task.input_shape),
        "dcn": task.dcn,
        "features": json.dumps(dict(task.features)),
    }


class Writer:
    """Adds batches in one transaction.

    Args:
        connection: in a transaction that writes.
        ids: of names already in the database, by table. What is in the database
            stays there under its id, so that they may come from an earlier writer.

    Attributes:
        ids: those and the ones met here; good once the transaction is committed.
    """

    def __init__(self, connection: sa.Connection, ids: Ids) -> None:
        self._connection = connection
        self.ids = {table: dict(known) for table, known in ids.items()}

    def add(self, batch: Trials) -> int:
        """Adds the rows whose identity is new; says how many were.

        Raises:
            ValueError: a name is too long.
        """
        if len(batch) == 0:
            return 0
        tasks = self._name_ids(TASK, batch, "task", lambda name: task_row(Task.table(name)))
        spaces = self._name_ids(SPACE, batch, "space", _name_row)
        offsets = (batch.offsets * 4).tolist()
        values = batch.flat_values.astype("<f4").tobytes()
        columns: dict[str, Sequence[Any]] = {
            "task_id": tasks.tolist(),
            "architecture_id": self._architecture_ids(batch, spaces).tolist(),
            "seed": batch.seeds.tolist(),
            "source_id": self._name_ids(SOURCE, batch, "source", _name_row).tolist(),
            "space_id": spaces.tolist(),
            "metric_id": self._name_ids(METRIC, batch, "metric", _name_row).tolist(),
            "state": batch.table.column("state").to_pylist(),
            "seconds": [None if time != time else time for time in batch.seconds.tolist()],
            "grid_id": self._grid_ids(batch, offsets),
            "n_points": batch.lengths.tolist(),
            "curve": [values[start:end] for start, end in pairwise(offsets)],
            "extras": batch.table.column("extras").to_pylist(),
        }
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        # In line: the ids given to the rows are not asked back, which would hide their number.
        insert = INSERT[self._connection.dialect.name](TRIAL).on_conflict_do_nothing().inline()
        options = {"preserve_rowcount": True}
        return int(self._connection.execute(insert, rows, execution_options=options).rowcount)

    def _name_ids(
        self, table: sa.Table, batch: Trials, column: str, new: Callable[[str], Row]
    ) -> NDArray[np.int64]:
        """Ids of an encoded column, shape (n,)."""
        names, codes = batch.names(column), batch.codes(column)
        used = np.unique(codes).tolist()
        require_storable(*(names[code] for code in used))
        ids = self._remembered(table, {names[code]: new(names[code]) for code in used})
        by_code = np.zeros(len(names), np.int64)
        by_code[used] = [ids[names[code]] for code in used]
        return by_code[codes]

    def _architecture_ids(self, batch: Trials, spaces: NDArray[np.int64]) -> NDArray[np.int64]:
        space_names, texts = batch.names("space"), batch.names("architecture")
        space_codes, text_codes = batch.codes("space"), batch.codes("architecture")
        pairs = space_codes.astype(np.int64) * len(texts) + text_codes
        _, first, codes = np.unique(pairs, return_index=True, return_inverse=True)
        rows = {}
        for row in first.tolist():
            text = texts[text_codes[row]]
            key = architecture_key(space_names[space_codes[row]], text)
            rows[key] = {"key": key, "space_id": int(spaces[row]), "choices": text}
        ids = self._ids(ARCHITECTURE, rows)
        return np.array([ids[key] for key in rows], np.int64)[codes]

    def _grid_ids(self, batch: Trials, offsets: Sequence[int]) -> list[int]:
        epochs = batch.flat_epochs.astype("<i4").tobytes()
        grids = [epochs[start:end] for start, end in pairwise(offsets)]
        keys = {grid: blake2b(grid, digest_size=16).hexdigest() for grid in set(grids)}
        rows = {key: {"key": key, "epochs": grid} for grid, key in keys.items()}
        ids = self._remembered(GRID, rows)
        by_grid = {grid: ids[key] for grid, key in keys.items()}
        return [by_grid[grid] for grid in grids]

    def _remembered(self, table: sa.Table, rows: Mapping[str, Row]) -> Mapping[str, int]:
        """`_ids` of tables small enough to keep."""
        known = self.ids.setdefault(table.name, {})
        unknown = {name: row for name, row in rows.items() if name not in known}
        if unknown:
            known |= self._ids(table, unknown)
        return known

    def _ids(self, table: sa.Table, rows: Mapping[str, Row]) -> dict[str, int]:
        """Ids by name or key; rows not in the table are added."""
        found = self._find(table, rows)
        unknown = {name: row for name, row in rows.items() if name not in found}
        if unknown:
            self._connection.execute(table.insert(), list(unknown.values()))
            found |= self._find(table, unknown)
        return found

    def _find(self, table: sa.Table, names: Iterable[str]) -> dict[str, int]:
        wanted = list(names)
        found: dict[str, int] = {}
        for start in range(0, len(wanted), AT_ONCE):
            part = {"names": wanted[start : start + AT_ONCE]}
            found.update(
                (name, number) for name, number in self._connection.execute(FIND[table.name], part)
            )
        return found


def _name_row(name: str) -> Row:
    return {"name": name}
