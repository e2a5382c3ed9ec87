"""The metadata store: what every implementation of it promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from metadata_store.batch import Trials
from metadata_store.records import Task, Trial


@dataclass(frozen=True)
class StoreInfo:
    """Counts of a store.

    Attributes:
        tasks: registered tasks.
        trials: trials, whatever their state.
        curves: trials whose curve has at least two points.
        spaces: trials by search space.
        revision: of the schema; "" where there is none.
    """

    tasks: int
    trials: int
    curves: int
    spaces: dict[str, int]
    revision: str


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
        """
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
