"""The store in a database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from types import TracebackType
from typing import TYPE_CHECKING, Self

import sqlalchemy as sa

from metadata_store.errors import DuplicateTask, StoreError, UnknownTask, UnreadableStore
from metadata_store.records import Task, Trial, require_storable
from metadata_store.sql.connect import (
    absolute,
    check_writable,
    make_engine,
    reading,
    shown,
    use_write_ahead_log,
    writing,
)
from metadata_store.sql.schema import REVISIONS, SPACE, TASK, TRIAL, revision_of, upgrade
from metadata_store.store import Contents, StoreInfo, completes, nothing

if TYPE_CHECKING:
    from metadata_store.batch import Trials
    from metadata_store.sql.write import Ids

# NumPy and Arrow are imported where trials move: opening a store and counting
# what is in it takes a quarter of a second, and would take twice that.

TRIALS_AT_ONCE = 5_000
"""Trials in memory while they are added or read as objects."""

_inherited: list[sa.Engine] = []  # by a forked process, which must not even close them


class SqlStore:
    """Implements `MetadataStore` for any number of processes and threads.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user@host/database``.
        initial: gives the tasks and trials a store starts with; called only
            where there is none yet, in the transaction that makes it.
        writes: whether it will be written to.

    Raises:
        UnreadableStore: it cannot be opened as a store of this version's schema
            or an older one, or not be written to; it is left as it is.
    """

    def __init__(
        self, url: str, *, initial: Callable[[], Contents] = nothing, writes: bool = False
    ) -> None:
        self._url = absolute(url)
        self._own = make_engine(self._url), os.getpid()
        self._ids: Ids = {}
        with ExitStack() as on_error:
            on_error.callback(self.close)
            try:
                self._prepare(initial)
                if writes:
                    check_writable(self._engine)
            except StoreError as error:
                raise UnreadableStore(f"cannot open the store: {error}") from error
            on_error.pop_all()

    def add_task(self, task: Task) -> None:
        require_storable(task.name)
        with writing(self._engine) as connection:
            _add_task(connection, task)

    def task(self, name: str) -> Task:
        from metadata_store.sql.read import task_of

        with reading(self._engine) as connection:
            row = connection.execute(sa.select(TASK).where(TASK.c.name == name)).one_or_none()
            if row is None:
                raise UnknownTask.among(name, connection.scalars(sa.select(TASK.c.name)))
            return task_of(row)

    def tasks(self) -> list[Task]:
        from metadata_store.sql.read import task_of

        with reading(self._engine) as connection:
            found = [task_of(row) for row in connection.execute(sa.select(TASK))]
        return sorted(found, key=lambda task: task.name)

    def add_trials(self, trials: Iterable[Trial]) -> int:
        from metadata_store.batch import Trials

        if isinstance(trials, Trials):
            return self.add_batches([trials])
        remaining = iter(trials)
        parts = iter(lambda: list(islice(remaining, TRIALS_AT_ONCE)), [])
        return self.add_batches(map(Trials.of, parts))

    def add_batches(self, batches: Iterable[Trials]) -> int:
        from metadata_store.sql.write import Writer

        remaining = iter(batches)
        first = next(remaining, None)  # before the lock: it may take its time
        if first is None:
            return 0
        with writing(self._engine) as connection:
            writer = Writer(connection, self._ids)
            added = sum(map(writer.add, chain([first], remaining)))
        self._ids = writer.ids
        return added

    def trials(self, *, task: str | None = None, space: str | None = None) -> Iterator[Trial]:
        from metadata_store.sql.read import matching, read_batch

        conditions = matching(None if task is None else [task], space)
        with reading(self._engine) as connection:
            query = sa.select(TRIAL.c.id).where(*conditions).order_by(TRIAL.c.id)
            numbers = connection.scalars(query).all()
        # No transaction stays open between the pages: the caller may take hours.
        for start in range(0, len(numbers), TRIALS_AT_ONCE):
            page = numbers[start : start + TRIALS_AT_ONCE]
            with reading(self._engine) as connection:
                part = read_batch(connection, TRIAL.c.id.between(page[0], page[-1]), *conditions)
            yield from part

    def batch(self, *, tasks: Sequence[str] | None = None, space: str | None = None) -> Trials:
        from metadata_store.sql.read import matching, read_batch

        with reading(self._engine) as connection:
            return read_batch(connection, *matching(tasks, space))

    def info(self) -> StoreInfo:
        points = sa.case((TRIAL.c.n_points >= 2, TRIAL.c.n_points))  # null where too few
        found = [each(points) for each in (sa.func.count, sa.func.min, sa.func.max)]
        counted = sa.select(TRIAL.c.space_id, sa.func.count(), *found).group_by(TRIAL.c.space_id)
        with reading(self._engine) as connection:
            tasks = connection.scalar(sa.select(sa.func.count()).select_from(TASK))
            spaces = connection.execute(sa.select(SPACE.c.id, SPACE.c.name))
            names = {number: name for number, name in spaces}  # noqa: C416
            rows = connection.execute(counted).all()
        return StoreInfo(
            tasks=int(tasks or 0),
            trials=sum(row[1] for row in rows),
            curves=sum(row[2] for row in rows),
            points=(
                min((row[3] for row in rows if row[2]), default=0),
                max((row[4] for row in rows if row[2]), default=0),
            ),
            spaces=dict(sorted((names[row[0]], row[1]) for row in rows)),
            revision=REVISIONS[-1],
        )

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _engine(self) -> sa.Engine:
        """This process's own: connections must not cross a fork."""
        engine, process = self._own
        if process != os.getpid():
            _inherited.append(engine)
            engine = make_engine(self._url)
            self._own = engine, os.getpid()
        return engine

    def _prepare(self, initial: Callable[[], Contents]) -> None:
        """Makes the store, upgrades it, or finds it as it should be."""
        engine = self._engine
        with reading(engine) as connection:
            if self._checked_revision(connection) == REVISIONS[-1]:
                return
        use_write_ahead_log(engine)
        with writing(engine) as connection:
            revision = self._checked_revision(connection)  # again: others may have been faster
            if revision != REVISIONS[-1]:
                upgrade(connection)
            if revision is None:
                _fill(connection, initial())

    def _checked_revision(self, connection: sa.Connection) -> str | None:
        revision = revision_of(connection)
        if revision is None and connection.dialect.name == "sqlite":
            others = sa.inspect(connection).get_table_names()
            if others:
                raise UnreadableStore(
                    f"{shown(self._engine)}: an SQLite database of something else, "
                    f"with the tables {', '.join(others[:3])}"
                )
        if revision is not None and revision not in REVISIONS:
            raise UnreadableStore(
                f"{shown(self._engine)}: a store of schema revision {revision}, made by a newer "
                f"metanas; this one knows revisions up to {REVISIONS[-1]}"
            )
        return revision


def _fill(connection: sa.Connection, contents: Contents) -> None:
    from metadata_store.sql.write import Writer

    for task in contents.tasks:
        _add_task(connection, task)
    writer = Writer(connection, {})
    for batch in contents.batches:
        writer.add(batch)


def _add_task(connection: sa.Connection, task: Task) -> None:
    from metadata_store.sql.read import task_of
    from metadata_store.sql.write import task_row

    row = connection.execute(sa.select(TASK).where(TASK.c.name == task.name)).one_or_none()
    if row is None:
        connection.execute(TASK.insert(), task_row(task))
        return
    known = task_of(row)
    if not completes(task, known):
        raise DuplicateTask.of(known.name, known.kind)
    connection.execute(TASK.update().where(TASK.c.id == row.id), task_row(task))
