"""Rows of the trial table, gathered into chunks of bounded size.

Every importer makes its rows here, so that a column is named and typed in one place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from metadata_store.batch import SCHEMA
from metadata_store.records import Choice
from metadata_store.table import WIDE

Row = dict[str, Any]
"""One row, by column."""

CHUNK_ROWS = 5_000

COLUMNS = pa.schema([field.with_type(WIDE.get(field.name, field.type)) for field in SCHEMA])
"""The trial table, wide enough for entries that are screened later."""


def row(
    *,
    task: str,
    metric: str,
    space: str,
    choices: Mapping[str, Choice] | str,
    source: str,
    epochs: Sequence[int],
    values: Sequence[float],
    state: str = "completed",
    seed: int = 0,
    seconds: float | None = None,
    extras: Mapping[str, float | None] | None = None,
) -> Row:
    """One row of the trial table.

    Args:
        choices: by name, or already the JSON text of it with sorted keys.
        seconds: None where unknown.
        extras: those that are None are left out.
    """
    known = {name: number for name, number in (extras or {}).items() if number is not None}
    return {
        "task": task,
        "metric": metric,
        "space": space,
        "architecture": choices if isinstance(choices, str) else as_json(choices),
        "seed": seed,
        "state": state,
        "source": source,
        "seconds": math.nan if seconds is None else seconds,
        "epochs": epochs,
        "values": values,
        "extras": as_json(known),
    }


def as_json(mapping: Mapping[str, Any]) -> str:
    """The text of a JSON object as the trial table writes it."""
    return json.dumps(dict(mapping), sort_keys=True)


def chunks(rows: Iterable[Row], *, where: str, size: int = CHUNK_ROWS) -> Iterator[pa.Table]:
    """Tables of at most `size` rows, in order; nothing is read ahead.

    Args:
        where: what the rows come from, for the error.

    Raises:
        ValueError: a value does not fit its column.
    """
    remaining = iter(rows)
    while part := list(islice(remaining, size)):
        try:
            table = pa.Table.from_pylist(part, schema=COLUMNS)
        except (pa.ArrowException, OverflowError) as error:
            raise ValueError(f"{where}: a value does not fit the trial table: {error}") from error
        yield table
