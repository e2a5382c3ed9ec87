"""From a URL to an engine, and the transactions on it.

SQLite is used with a write-ahead log: readers never wait, and a process killed
in a transaction leaves nothing of it. Writers take the write lock when they
begin and queue for it; taking it later could fail half-way. PostgreSQL writers
queue likewise, on an advisory lock of the database: two that add the same names
in different orders would otherwise block each other for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from metadata_store.errors import LostStore, StoreError, UnreadableStore

FORMS = "a store is memory://, sqlite:///path or postgresql://user@host/database"

WRITE_WAIT = 600
"""Seconds a writer waits for the others: an import may hold the lock for minutes."""

CONNECT_WAIT = 10
"""Seconds to wait for a PostgreSQL server's answer."""

POSTGRESQL_OPTIONS: Mapping[str, Any] = {
    "connect_args": {"connect_timeout": CONNECT_WAIT},
    # A connection may wait in the pool for the hours of a training, and its server end.
    "pool_pre_ping": True,
    # Whatever the database's default: who waited for a lock must see what its holder did.
    "isolation_level": "READ COMMITTED",
}
"""Arguments of `sqlalchemy.create_engine` for a PostgreSQL server."""

WRITERS_LOCK = 0x6D6574616E6173
"""Key of PostgreSQL's advisory lock: "metanas" in ASCII."""

_WRITES = "metanas_writes"  # execution option of a transaction that writes
_STATE = "metanas_state"  # what a connection to a file that nobody should change found it as


def make_engine(url: str) -> sa.Engine:
    """An engine that has not connected yet.

    Raises:
        UnreadableStore: no such URL can be a store, or its driver is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise UnreadableStore(f"{FORMS}; got {url!r}, did you mean 'sqlite:///{url}'?")
    if scheme == "sqlite":
        return _sqlite(url, rest)
    if scheme in ("postgresql", "postgresql+psycopg"):
        return _postgresql(rest)
    raise UnreadableStore(f"{FORMS}; got {scheme!r} before ://")


def absolute(url: str) -> str:
    """The URL with a relative path taken from the current folder once and for all."""
    scheme, _, rest = url.partition(":///")
    if scheme != "sqlite" or rest in ("", ":memory:"):
        return url
    return f"sqlite:///{Path(rest).absolute()}"


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that sees the store as it is at its first query.

    Raises:
        LostStore: the database is out of reach.
        StoreError: it fails otherwise, or what it read was changed meanwhile; the message is
            one line.
    """
    with _one_line(engine), engine.connect() as connection, connection.begin():
        try:
            yield connection
        except Exception as error:
            # Half of a change looks like anything: a table that lacks a row, broken data.
            if _changed(connection):
                raise _changed_meanwhile(engine) from error
            raise
        if _changed(connection):
            raise _changed_meanwhile(engine)


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction no other writer runs beside.

    Raises:
        LostStore: the database is out of reach.
        StoreError: it fails otherwise; the message is one line.
    """
    with _one_line(engine), engine.connect() as connection:
        connection = connection.execution_options(**{_WRITES: True})
        with connection.begin():
            yield connection


def check_writable(engine: sa.Engine) -> None:
    """Finds out whether an SQLite file can be written to, without a wait for its writers.

    Raises:
        StoreError: it cannot, or cannot be read at all; the message is one line.
    """
    if engine.dialect.name != "sqlite":
        return
    with _one_line(engine), engine.connect() as connection:
        cursor = connection.connection.cursor()
        (wait,) = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute("PRAGMA busy_timeout=0")
        try:
            cursor.execute("BEGIN IMMEDIATE")  # allowed although nothing can be written
            cursor.execute("PRAGMA user_version=0")
            cursor.execute("ROLLBACK")
        except _driver(engine).OperationalError as error:
            if "locked" not in str(error):  # somebody who can write does
                raise
        finally:
            cursor.execute(f"PRAGMA busy_timeout={wait}")


def use_write_ahead_log(engine: sa.Engine) -> None:
    """Makes an SQLite file keep a write-ahead log from now on; PostgreSQL always does.

    Raises:
        StoreError: the database fails; the message is one line.
    """
    if engine.dialect.name != "sqlite":
        return
    give_up = time.monotonic() + WRITE_WAIT
    with _one_line(engine), engine.connect() as connection:
        cursor = connection.connection.cursor()
        while True:
            try:
                cursor.execute("PRAGMA journal_mode=WAL")
                return
            except _driver(engine).OperationalError as error:
                # SQLite does not queue for this lock: of several processes that
                # make one file, all but one are turned away at once.
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise
            time.sleep(0.01)


def shown(engine: sa.Engine) -> str:
    """The URL without its password and driver."""
    return engine.url.set(drivername=engine.dialect.name).render_as_string(hide_password=True)


def _driver(engine: sa.Engine) -> Any:
    return engine.dialect.loaded_dbapi


@contextmanager
def _one_line(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, _driver(engine).Error) as error:
        said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        line = said.splitlines()[0] if said else type(error).__name__
        kind = LostStore if _lost(engine, error) else StoreError
        raise kind(f"{shown(engine)}: {line}") from error


def _lost(engine: sa.Engine, error: Exception) -> bool:
    """Whether a server ended the connection, or could not be connected to."""
    if not isinstance(error, DBAPIError) or engine.dialect.name == "sqlite":
        return False
    return error.connection_invalidated or (
        isinstance(error, OperationalError)
        # Without a statement it connected; what only the driver says of a server has no code.
        and error.statement is None
        and getattr(error.orig, "sqlstate", None) is None
    )


def _sqlite(url: str, rest: str) -> sa.Engine:
    if not rest.startswith("/") or rest in ("/", "/:memory:"):
        raise UnreadableStore(f"{FORMS}; got {url!r}")
    path = Path(rest[1:])
    if not path.parent.is_dir():
        raise UnreadableStore(f"cannot open the store: {url}: there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        raise UnreadableStore(f"cannot open the store: {url}: {path} is no file")
    _check_log(url, path)
    sealed = _is_sealed(path)
    pool: dict[str, Any] = {"poolclass": sa.NullPool} if sealed else {"max_overflow": -1}
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": WRITE_WAIT, "isolation_level": None},
        **pool,
    )
    if sealed:
        _read_sealed(engine, path)

    @event.listens_for(engine, "connect")
    def tune(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=NORMAL")  # safe with a write-ahead log
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql("PRAGMA cache_size=-65536")  # kiB, for the indices
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _check_log(url: str, path: Path) -> None:
    """Refuses a file whose last changes are in a log that SQLite may not read here.

    Raises:
        UnreadableStore: they are.
    """
    log = _with(path, "wal")
    if path.is_file() and not _in_reach(path) and log.exists() and not _with(path, "shm").exists():
        raise UnreadableStore(
            f"cannot open the store: {url}: its last writer was killed and left {log.name}; "
            f"open it once where {log.parent} can be written to"
        )


def _is_sealed(path: Path) -> bool:
    """Whether an SQLite file is at rest in a folder that this user cannot write to.

    SQLite refuses to read it: beside a file with a write-ahead log it makes another for
    memory that readers and writers share. While somebody else writes, that one is there.
    A log or journal beside the file means it is not at rest: alone it may be half a transaction.

    Of a link it is the real file's folder that counts, as it does to SQLite. What it cannot
    see: a single file mounted apart from its folder, while somebody writes to it there.
    """
    if not path.is_file():
        return False
    return not _in_reach(path) and not any(
        _with(path, kind).exists() for kind in ("wal", "journal")
    )


def _in_reach(path: Path) -> bool:
    """Whether this user can write to the folder of the real file."""
    effective = os.access in os.supports_effective_ids
    return os.access(path.resolve().parent, os.W_OK, effective_ids=effective)


def _with(path: Path, kind: str) -> Path:
    """The real file's log, journal or shared memory."""
    real = path.resolve()
    return real.with_name(f"{real.name}-{kind}")


def _read_sealed(engine: sa.Engine, path: Path) -> None:
    """Reads the file as one that nobody changes, for a transaction; `reading` then looks."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, options: Mapping[str, Any]) -> Any:
        state = _state(path)  # before it is known to be at rest, so that no change is missed
        if not _is_sealed(path):
            return None  # as usual
        record.info[_STATE] = state
        return dialect.loaded_dbapi.connect(
            f"{path.absolute().as_uri()}?immutable=1", uri=True, **options
        )


def _changed(connection: sa.Connection) -> bool:
    """Whether a file was changed that this connection reads as one that nobody changes."""
    if _STATE not in connection.info:
        return False
    return bool(_state(Path(str(connection.engine.url.database))) != connection.info[_STATE])


def _changed_meanwhile(engine: sa.Engine) -> StoreError:
    return StoreError(f"{shown(engine)}: was changed while it was read; try again")


def _state(path: Path) -> tuple[int, int] | None:
    """What differs after a change; None where the file is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _postgresql(rest: str) -> sa.Engine:
    try:
        url = sa.make_url(f"postgresql+psycopg://{rest}")
        engine = sa.create_engine(url, max_overflow=-1, **POSTGRESQL_OPTIONS)
    except (ArgumentError, ValueError) as error:
        raise UnreadableStore(f"{FORMS}; {error}") from error
    except ImportError as error:
        raise UnreadableStore(
            "a PostgreSQL store needs psycopg: pip install 'metanas[postgres]'"
        ) from error

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql(
                f"SELECT set_config('lock_timeout', '{WRITE_WAIT}s', true),"
                f" pg_advisory_xact_lock({WRITERS_LOCK})"
            )
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine
