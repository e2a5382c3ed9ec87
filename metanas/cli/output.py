"""What the commands print: JSON or tables on standard output, progress on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

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
        # The terminal wraps a long line without breaking what is copied from it.
        console.print(part, soft_wrap=isinstance(part, str), crop=False)


COPIED = "architecture"
"""A column that people copy from: no line break may be put into it."""

WIDEST = 100_000
"""Characters in which any table fits."""


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Any:
    """A table; numbers to the right.

    Where a table with architectures is too wide, they stand below it instead, one a line,
    each behind the first cell of its row.
    """
    whole = _table(title, columns, rows)
    if COPIED not in columns:
        return whole
    at = list(columns).index(COPIED)
    rest = [[value for i, value in enumerate(row) if i != at] for row in rows]
    names = [str(row[0]) for row in rows]
    width = max(map(len, names), default=0)
    lines = [f"{name:>{width}}  {_cell(row[at])}" for name, row in zip(names, rows, strict=True)]
    return _Fitting(whole, _table(title, [c for c in columns if c != COPIED], rest), lines)


@dataclass(frozen=True)
class _Fitting:
    """A table for rich to print, with a column less and lines below it where it is too wide."""

    whole: Table
    narrow: Table
    below: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        if console.measure(self.whole, options=options.update(width=WIDEST)).maximum <= (
            options.max_width
        ):
            yield self.whole
            return
        yield self.narrow
        for line in self.below:
            yield Text(line, no_wrap=True, overflow="ignore")
        yield ""


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
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


QUIET = 60.0
"""Seconds between two lines of progress where no terminal shows a bar."""


@contextmanager
def progress(given: Namespace, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """How far a command is and how long it will take, on standard error.

    A bar on a terminal; elsewhere a line a minute at most, none in the first.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}", style="progress.remaining", markup=False),
    )
    console = Console(stderr=True)
    pace = _Pace(clock)
    told = clock()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        shown = bar.add_task("", total=None, pace=pace)

        def advance(done: int, total: int, what: str) -> None:
            nonlocal told
            pace.tell(done, total)
            bar.update(shown, completed=done, total=total, description=what)
            if bar.disable and clock() - told >= QUIET:
                told = clock()
                sys.stderr.write(f"metanas: {done:,}/{total:,} {what}, {pace} left\n")
                sys.stderr.flush()

        yield advance


class _Pace:
    """The time left, as text, going by all that was done since it was first told of steps.

    What had been done by then says nothing of how long the rest takes. Another total, or
    fewer steps than before, are another part of the work.

    Why: rich goes by the last half minute, in which a long training does not end once.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first = self._last = (0.0, 0)
        self._total = 0

    def tell(self, done: int, total: int) -> None:
        """So many steps are done now; the same told again moves nothing."""
        if (done, total) == (self._last[1], self._total):
            return
        self._last, before = (self._clock(), done), self._last
        if total != self._total or done < before[1]:
            self._first = self._last
        self._total = total

    def __str__(self) -> str:
        (begin, before), (now, done) = self._first, self._last
        if done == before:
            return "-:--:--"
        each = (now - begin) / (done - before)
        left = (self._total - done) * each - (self._clock() - now)
        return str(timedelta(seconds=max(0, round(left))))


def _cell(value: object) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
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
