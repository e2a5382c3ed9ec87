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

from metadata_store.errors import LostStore, StoreError
from metadata_store.sql.beside import Failure, beside, engine_options, exists, take_turns

Result = TypeVar("Result")

MEMORY = "memory://"
PATIENCE = 180.0
"""Seconds a database may be out of reach before a search gives up."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


@contextmanager
def open_storage(url: str, *, make: bool = True) -> Iterator[optuna.storages.BaseStorage]:
    """The studies of the store at this URL; connections are closed when the block ends.

    Args:
        make: whether to make them where there are none; else none are found.

    Raises:
        LostStore: the database cannot be opened.
    """
    where = None if url == MEMORY else beside(url, "studies")
    if where is None or not (make or exists(where)):
        yield optuna.storages.InMemoryStorage()
        return
    storage = patiently(lambda: _rdb(where), patience=LONGEST_PAUSE)
    try:
        take_turns(storage.engine)
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


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


def _rdb(url: str) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(url, engine_kwargs=engine_options(url))


def _line(error: Exception) -> str:
    """What the database said, not what Optuna says about it."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)
