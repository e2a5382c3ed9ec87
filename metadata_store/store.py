"""The metadata store: what every implementation of it promises, and how to open one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from metadata_store.errors import UnreadableStore
from metadata_store.records import TABLE_KIND, Task, Trial

if TYPE_CHECKING:
    from metadata_store.batch import Trials

STORE_VARIABLE = "METANAS_STORE"
"""Environment variable with the URL of the user's store."""


@dataclass(frozen=True)
class StoreInfo:
    """Counts of a store.

    Attributes:
        tasks: registered tasks.
        trials: trials, whatever their state.
        curves: trials whose curve has at least two points.
        points: of the shortest and of the longest of these curves; 0 where there are none.
        spaces: trials by search space.
        revision: of the schema; "" where there is none.
    """

    tasks: int
    trials: int
    curves: int
    points: tuple[int, int]
    spaces: dict[str, int]
    revision: str


@dataclass(frozen=True)
class Contents:
    """What a new store starts with."""

    tasks: Iterable[Task]
    batches: Iterable[Trials]


def nothing() -> Contents:
    """A new store starts empty."""
    return Contents((), ())


class MetadataStore(Protocol):
    """Tasks and trials, kept for good. Measurements only, never predictions.

    Every call is atomic: it happens whole or not at all, also when the process
    dies in it, and processes and threads may share one store.
    """

    def add_task(self, task: Task) -> None:
        """Registers a task; data given for a task so far known as a table complete it.

        Raises:
            DuplicateTask: the name belongs to a task with data, or to a table
                and `task` is one too.
            ValueError: the name is longer than `records.NAME_BYTES`.
        """
        ...

    def task(self, name: str) -> Task:
        """The task of that name.

        Raises:
            UnknownTask: there is none; the message names near ones.
        """
        ...

    def tasks(self) -> list[Task]:
        """All tasks, by name."""
        ...

    def add_trials(self, trials: Iterable[Trial]) -> int:
        """Adds the trials whose identity is new, all in one transaction.

        A task seen for the first time is registered as a table. `Trials`
        travel as columns.

        Returns:
            How many were new; the others are left as they are in the store.

        Raises:
            ValueError: a name is longer than `records.NAME_BYTES`.
        """
        ...

    def add_batches(self, batches: Iterable[Trials]) -> int:
        """`add_trials` of batch after batch, all in one transaction, one in memory at a time."""
        ...

    def trials(self, *, task: str | None = None, space: str | None = None) -> Iterator[Trial]:
        """Trials in the order they came, of one task or space if named."""
        ...

    def batch(self, *, tasks: Sequence[str] | None = None, space: str | None = None) -> Trials:
        """The same as columns, of some tasks or one space if named."""
        ...

    def info(self) -> StoreInfo:
        """Counts, without reading the trials."""
        ...

    def close(self) -> None:
        """Releases connections; the store must not be used afterwards."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def completes(task: Task, known: Task) -> bool:
    """Whether `task` brings the data of one so far known as a table."""
    return known.kind == TABLE_KIND and task.kind != TABLE_KIND


def open_store(url: str) -> MetadataStore:
    """The store at a URL, made on first use and brought to this version's schema.

    Args:
        url: ``memory://``, ``sqlite:///path`` or ``postgresql://user@host/database``.

    Raises:
        UnreadableStore: it cannot be opened as a store; it is left as it is.
    """
    return _open(url, nothing, writes=False)


def open_user_store(
    url: str | None = None, *, reference: bool = True, writes: bool = False
) -> MetadataStore:
    """The user's store: as `open_store`, but one that did not exist starts filled.

    Args:
        url: by default that of $METANAS_STORE, else an SQLite file in the
            platform's folder for user data.
        reference: whether a new store starts with the reference trials. It is
            made and filled in one transaction.
        writes: whether it will be written to: where an SQLite file cannot be, that is told
            now and not after the work.

    Raises:
        UnreadableStore: it cannot be opened as a store, or not be written to; it is left
            as it is.
    """
    from metadata_store.reference import reference_contents

    return _open(user_url(url), reference_contents if reference else nothing, writes=writes)


def user_url(url: str | None = None) -> str:
    """The URL of the user's store, see `open_user_store`; a relative path is made absolute.

    Raises:
        UnreadableStore: its folder cannot be made.
    """
    from metadata_store.sql.connect import absolute

    return absolute(url or os.environ.get(STORE_VARIABLE) or _own_url())


def _open(url: str, initial: Callable[[], Contents], *, writes: bool) -> MetadataStore:
    if url == "memory://":
        from metadata_store.memory import MemoryStore

        store = MemoryStore()
        contents = initial()
        for task in contents.tasks:
            store.add_task(task)
        store.add_batches(contents.batches)
        return store
    from metadata_store.sql import SqlStore

    return SqlStore(url, initial=initial, writes=writes)


def _own_url() -> str:
    from platformdirs import user_data_dir

    folder = Path(user_data_dir("metanas", appauthor=False))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnreadableStore(f"cannot make the folder of the store: {error}") from error
    return f"sqlite:///{folder / 'store.db'}"
