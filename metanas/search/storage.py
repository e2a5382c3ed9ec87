"""Where studies are kept: an Optuna storage beside the metadata store.

An SQLite store ``store.db`` has its studies in ``store.studies.db``, a PostgreSQL store in
the same database, a store in memory in memory. Any number of processes may share one.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError

from metadata_store.errors import LostStore, StoreError, UnreadableStore
from metadata_store.sql.beside import (
    Failure,
    beside,
    check,
    copy_of,
    engine_options,
    exists,
    note_errors,
    take_turns,
    without_password,
)

Result = TypeVar("Result")

MEMORY = "memory://"
PATIENCE = 180.0
"""Seconds a database may be out of reach before a search gives up."""

NO_COLUMN = "42703"
"""PostgreSQL's code for it."""

SEARCHES = "the database of the search"
"""How an error's note begins that names its database."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


@contextmanager
def open_storage(url: str, *, make: bool = True) -> Iterator[optuna.storages.BaseStorage]:
    """The studies of the store at this URL, to go on with; closed when the block ends.

    Args:
        make: whether to make them where there are none; else none are found.

    Raises:
        UnreadableStore: the database cannot be opened, or not be written to.
    """
    where = None if url == MEMORY else beside(url, "studies")
    if where is None or not (make or exists(where)):
        yield optuna.storages.InMemoryStorage()
        return
    check(where)
    try:
        storage = patiently(
            lambda: _database(where, where, engine_options(where)), patience=LONGEST_PAUSE
        )
    except LostStore as error:  # nothing is lost that was never open
        raise UnreadableStore(f"cannot open {error}") from error
    try:
        take_turns(storage.engine)
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def read_storage(url: str) -> Iterator[optuna.storages.BaseStorage]:
    """The studies of the store at this URL, to read only; none where there are none.

    An SQLite file is read as it is now, also where nothing can be written.

    Raises:
        StoreError: the database cannot be read.
    """
    where = None if url == MEMORY else beside(url, "studies")
    if where is None or not where.startswith("sqlite") or not exists(where):
        with open_storage(url, make=False) as storage:
            yield storage
        return
    copy = copy_of(where)
    try:  # once: a copy does not change
        copied = patiently(lambda: _database("sqlite://", where, copy), patience=0)
    except LostStore as error:
        raise UnreadableStore(f"cannot open {error}") from error
    try:
        with copied.engine.connect() as connection:
            # What was written to the copy would be gone with it.
            connection.exec_driver_sql("PRAGMA query_only=1")
        yield copied
    finally:
        copied.remove_session()
        copied.engine.dispose()


def _database(url: str, named: str, options: Mapping[str, Any]) -> optuna.storages.RDBStorage:
    """Optuna's tables in a database, made where there are none.

    Args:
        named: the URL that people know it by.
        options: of `sqlalchemy.create_engine`.

    Raises:
        UnreadableStore: the tables are another version's.
    """
    shown = without_password(named)
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs=dict(options))
    except RuntimeError as error:
        raise UnreadableStore(f"cannot open {shown}: {error}") from error
    except (StorageInternalError, Failure) as error:
        error.add_note(f"{SEARCHES} {shown}")
        raise
    note_errors(storage.engine, f"{SEARCHES} {shown}")
    return storage


@contextmanager
def at_once(storage: optuna.storages.BaseStorage) -> Iterator[None]:
    """What this thread changes inside comes to be in one transaction, or not at all.

    A storage in memory changes as ever: it ends with its process.
    """
    if not isinstance(storage, optuna.storages.RDBStorage):
        yield
        return
    storage.remove_session()
    with storage.engine.connect() as connection, connection.begin():
        # The storage takes this one for its thread's session, and to commit ends a savepoint.
        storage.scoped_session(bind=connection, join_transaction_mode="create_savepoint")
        try:
            yield
        finally:
            storage.remove_session()


def quiet() -> None:
    """Keeps Optuna from reporting every trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def patiently(call: Callable[[], Result], *, patience: float = PATIENCE) -> Result:
    """Calls again and again, at growing intervals, while the database is out of reach.

    Args:
        call: may have taken effect although it raised, so twice must do no harm.
        patience: seconds after which the error is raised after all.

    Raises:
        LostStore: the database stays out of reach; the message is one line.
        UnreadableStore: its tables are not those of searches; likewise.
    """
    give_up = time.monotonic() + patience
    pause = FIRST_PAUSE
    while True:
        try:
            return call()
        except (StorageInternalError, StoreError, Failure) as error:
            # The store's definite answers, such as an unknown task, are the other subclasses.
            if isinstance(error, StoreError) and type(error) not in (StoreError, LostStore):
                raise
            if _definite(error):
                raise UnreadableStore(_line(error)) from error
            if time.monotonic() + pause > give_up:
                raise LostStore(_line(error)) from error
            logging.getLogger(__name__).info("trying again in %.1f s: %s", pause, _line(error))
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


def _definite(error: BaseException) -> bool:
    """Whether the database was reached and has tables of these names that are others'.

    That there is no such table, or already one, may pass: another process may be making them.
    """
    *_, cause = _causes(error)
    return str(cause).startswith("no such column") or getattr(cause, "sqlstate", "") == NO_COLUMN


def _line(error: BaseException) -> str:
    """Which database, if that is known, and what it said, not what Optuna says about it."""
    causes = list(_causes(error))
    notes = (note for each in causes for note in getattr(each, "__notes__", ()))
    name = next((note for note in notes if note.startswith(SEARCHES)), SEARCHES)
    said = str(causes[-1]).strip().splitlines()
    return f"{name}: {said[0] if said else type(causes[-1]).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
