"""What the commands print: JSON or tables on standard output, progress on standard error."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

Advance = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is going on."""


def emit(given: Namespace, document: Mapping[str, Any] | Sequence[Any], text: Any) -> None:
    """Prints the document with ``--json``, else the text (anything rich prints).

    Only this reaches standard output, which is ``given.output`` while a command runs.
    """
    if given.json:
        given.output.write(json.dumps(_strict(document), ensure_ascii=False) + "\n")
        return
    from rich.console import Console

    # A file has no edge to fold lines at.
    console = Console(
        file=given.output,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if given.output.isatty() else 240,
    )
    for part in text if isinstance(text, list) else [text]:
        console.print(part)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Any:
    """A table; numbers to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=Text(title) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in rows)
        made.add_column(
            column,
            justify="right" if numeric and rows else "left",
            overflow="fold",
            no_wrap=numeric,
        )
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    return made


@contextmanager
def progress(given: Namespace) -> Iterator[Advance]:
    """A progress bar on standard error, with time left; silent where that is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        shown = bar.add_task("", total=None)

        def advance(done: int, total: int, what: str) -> None:
            bar.update(shown, completed=done, total=total, description=what)

        yield advance


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _strict(value: Any) -> Any:
    """JSON knows no NaN: it becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
