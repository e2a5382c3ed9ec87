"""A database beside the store, for another program's tables.

With SQLite it is a file next to the store's: an import may hold the store's write lock
for minutes, and what lies beside it must not wait so long. With PostgreSQL it is the
store's own database, where every table of the store has a name of its own kind.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from metadata_store.errors import StoreError, UnreadableStore
from metadata_store.sql.connect import (
    POSTGRESQL_OPTIONS,
    absolute,
    check_writable,
    make_engine,
    reading,
    shown,
    use_write_ahead_log,
)

WAIT = 60
"""Seconds a transaction waits for the others' to end; each lasts milliseconds."""

Failure = SQLAlchemyError
"""What a broken connection raises."""


def beside(url: str, name: str) -> str:
    """The URL of the database beside a store's.

    Args:
        url: of a store in a database.
        name: tells an SQLite file from the store's: ``store.db`` has ``store.NAME.db``.

    Raises:
        UnreadableStore: the URL can be no such store.
    """
    engine = make_engine(absolute(url))
    if engine.dialect.name != "sqlite":
        return engine.url.render_as_string(hide_password=False)
    path = Path(str(engine.url.database))
    return f"sqlite:///{path.with_name(f'{path.stem}.{name}{path.suffix}')}"


def without_password(url: str) -> str:
    """Such a URL as people may see it."""
    return shown(make_engine(url))


def exists(url: str) -> bool:
    """Whether there is such a database; one of a server is taken to be there."""
    scheme, _, path = url.partition(":///")
    return scheme != "sqlite" or Path(path).is_file()


def check(url: str) -> None:
    """Looks whether such a database can be written to; of a server that is taken for granted.

    Raises:
        UnreadableStore: it cannot, or is no database; the message is one line.
    """
    engine = make_engine(url)
    try:
        check_writable(engine)
    except StoreError as error:
        raise UnreadableStore(f"cannot open {error}") from error
    finally:
        engine.dispose()


def copy_of(url: str) -> dict[str, Any]:
    """Arguments of `sqlalchemy.create_engine` for a copy in memory of an SQLite file.

    Why: who opens a database to read may all the same write to it, were it only to find
    that there is nothing to upgrade, and the file may be one that only `reading` can read.

    Raises:
        StoreError: it cannot be read; the message is one line.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    engine = make_engine(url)
    try:
        with reading(engine) as connection:
            cast("sqlite3.Connection", connection.connection.driver_connection).backup(copy)
    except StoreError:
        copy.close()
        raise
    finally:
        engine.dispose()
    return {"creator": lambda: copy, "poolclass": sa.StaticPool}


def engine_options(url: str) -> dict[str, Any]:
    """Arguments of `sqlalchemy.create_engine` for such a URL."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": WAIT, "isolation_level": None}, "max_overflow": -1}
    return dict(POSTGRESQL_OPTIONS)


def take_turns(engine: sa.Engine) -> None:
    """Lets any number of processes share an SQLite file; PostgreSQL needs no help.

    Every transaction takes the write lock when it begins and queues for it. SQLite's own
    way lets two of them read the same state and then both act on it.
    """
    if engine.dialect.name != "sqlite":
        return
    use_write_ahead_log(engine)

    @event.listens_for(engine, "connect")
    def tune(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections made before know nothing of this


def note_errors(engine: sa.Engine, note: str) -> None:
    """Adds a note to what the database raises, which does not say which one it is."""

    @event.listens_for(engine, "handle_error")
    def add(context: ExceptionContext) -> None:
        context.original_exception.add_note(note)
