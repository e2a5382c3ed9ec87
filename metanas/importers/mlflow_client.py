"""A quiet, impatient connection to MLflow, for its importer and for `metanas.tracking`.

MLflow is set up by environment variables and speaks up on its own: it sends usage
statistics, retries for minutes, prints its migrations and warns of its libraries'
deprecations. Here, and only while a connection is in use, it does none of this; what
the user has set stays.
"""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from metanas.importers.location import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
PROBE_SECONDS = 3.0
SQLITE_WAIT = 60
"""Seconds for a lock of an SQLite database: its own five are few where several processes log."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # Connections kept open would be shared with forked processes.
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
}


@contextmanager
def connected(
    uri: str, *, raising: type[Exception], create: bool = False
) -> Iterator[MlflowClient]:
    """A client, with MLflow kept quiet until the block ends.

    Args:
        uri: of a tracking server or database; or the path of an SQLite database.
        raising: what to raise for whatever goes wrong in the block, with one line of text.
        create: make the SQLite database if it is not there.
    """
    try:
        with QUIET:
            from mlflow import MlflowClient

            logging.getLogger("mlflow").setLevel(logging.CRITICAL)
            yield MlflowClient(_checked(uri, create))
    except raising:
        raise
    except Exception as error:
        # Masked before it is cut: what is left of an address would not look like one.
        told = masked(str(error).replace(uri, masked(uri)) if uri else str(error))
        detail = " ".join(told.split())[:200] or type(error).__name__
        raise raising(f"MLflow at {masked(uri)}: {detail}") from error


def require_sqlite(path: Path, table: str, wanted: str) -> None:
    """Checks, without changing it, that a file is an SQLite database with this table.

    Raises:
        ValueError: it is not.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (found,) = database.execute(query, (table,)).fetchone()
    except sqlite3.Error as error:
        raise ValueError(f"{path}: want {wanted}, got no readable database: {error}") from error
    if not found:
        raise ValueError(f"{path}: want {wanted}, got a database without the table {table}")


def _checked(uri: str, create: bool) -> str:
    """The URI, once it is known to lead somewhere: MLflow itself would try for minutes."""
    if "://" not in uri and Path(uri).is_file():
        uri = f"{SQLITE}{Path(uri).absolute()}"
    if uri.startswith(SQLITE):
        path = Path(uri.removeprefix(SQLITE).partition("?")[0])
        if create and not path.exists():
            _create(path)
        require_sqlite(path, "experiments", "MLflow's database")
        return uri if "?" in uri else f"{uri}?timeout={SQLITE_WAIT}"
    if "://" not in uri:
        raise ValueError(f"want the URI of a server or database, got {masked(uri)!r}")
    parts = urlsplit(uri)
    port = PORTS.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname:
        address = parts.hostname, parts.port or port
        socket.create_connection(address, timeout=PROBE_SECONDS).close()
    return uri


def _create(path: Path) -> None:
    """Makes the database whole or not at all, also when several processes want it."""
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        MlflowClient(f"{SQLITE}{partial}").search_experiments(max_results=1)
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        partial.unlink(missing_ok=True)


class _Quiet:
    """Sets the environment, log level and warnings while any thread is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._undo = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._undo.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                for name in ENVIRONMENT.keys() - os.environ.keys():
                    os.environ[name] = ENVIRONMENT[name]
                    self._undo.callback(os.environ.pop, name, None)
                logger = logging.getLogger("mlflow")
                self._undo.callback(logger.setLevel, logger.level)
                # It tells of every try to reach a server; what came of them is told once.
                tries = logging.getLogger("urllib3.connectionpool")
                self._undo.callback(tries.setLevel, tries.level)
                tries.setLevel(logging.ERROR)
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._undo.close()


QUIET = _Quiet()
