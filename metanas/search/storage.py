"""Where studies are kept: an Optuna storage beside the metadata store.

An SQLite store ``store.db`` has its studies in ``store.studies.db``, a PostgreSQL store in
the same database, a store in memory in memory. Any number of processes may share one.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

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
    take_turns,
)

Result = TypeVar("Result")

MEMORY = "memory://"
PATIENCE = 180.0
"""Seconds a database may be out of reach before a search gives up."""

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
            lambda: optuna.storages.RDBStorage(where, engine_kwargs=engine_options(where)),
            patience=LONGEST_PAUSE,
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
    copied = optuna.storages.RDBStorage("sqlite://", engine_kwargs=copy_of(where))
    try:
        with copied.engine.connect() as connection:
            # What was written to the copy would be gone with it.
            connection.exec_driver_sql("PRAGMA query_only=1")
        yield copied
    finally:
        copied.remove_session()
        copied.engine.dispose()


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
            if time.monotonic() + pause > give_up:
                raise LostStore(f"the database of the search: {_line(error)}") from error
            logging.getLogger(__name__).info("trying again in %.1f s: %s", pause, _line(error))
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


def _line(error: Exception) -> str:
    """What the database said, not what Optuna says about it."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)
