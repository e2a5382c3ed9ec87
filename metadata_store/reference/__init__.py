"""The trials that come with the package, and the tasks they were made on.

``*.parquet`` are trial tables, ``tasks.json`` a list of the fields of `Task`.
A user's new store starts with them, so that the first search already has
something to learn from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metadata_store.records import Task
from metadata_store.store import Contents

if TYPE_CHECKING:
    from metadata_store.batch import Trials

FOLDER = Path(__file__).parent
TASKS = "tasks.json"


def reference_tables(folder: Path = FOLDER) -> list[Path]:
    """The trial tables, by name."""
    return sorted(folder.glob("*.parquet"))


def reference_tasks(folder: Path = FOLDER) -> list[Task]:
    """The tasks, with their features; none where they are not listed.

    Raises:
        ValueError: the file holds something else.
    """
    path = folder / TASKS
    if not path.exists():
        return []
    try:
        return [_task(fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
    except (TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds no tasks: {error}") from error


def _task(fields: dict[str, Any]) -> Task:
    """A task of JSON values.

    Raises:
        ValueError: a field holds another kind of value.
    """
    for name, (wanted, right) in FIELDS.items():
        if name in fields and not right(fields[name]):
            raise ValueError(f"{name} must be {wanted}, got {fields[name]!r}")
    return Task(**fields)


def _is_number(value: object) -> bool:
    """Whether it is a finite one; Python reads NaN, infinities and longer ones from JSON too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("a text", _is_text),
    "kind": ("a text", _is_text),
    "data": ("a text", _is_text),
    "n_samples": ("a whole number", _is_whole),
    "n_classes": ("a whole number or null", lambda given: given is None or _is_whole(given)),
    "input_shape": (
        "a list of whole numbers",
        lambda given: isinstance(given, list) and all(map(_is_whole, given)),
    ),
    "dcn": ("a number or null", lambda given: given is None or _is_number(given)),
    "features": (
        "a mapping to numbers",
        lambda given: isinstance(given, dict) and all(map(_is_number, given.values())),
    ),
}
"""What JSON tells of a task: in words, and whether a value is that."""


def reference_batches(folder: Path = FOLDER) -> Iterator[Trials]:
    """The trials, table after table."""
    from metadata_store.batch import Trials
    from metadata_store.table import read_tables

    for path in reference_tables(folder):
        yield from map(Trials, read_tables(path))


def reference_contents(folder: Path = FOLDER) -> Contents:
    """All of it, as a new store takes it."""
    return Contents(reference_tasks(folder), reference_batches(folder))
