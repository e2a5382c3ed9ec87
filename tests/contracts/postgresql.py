"""A PostgreSQL server of the tests' own, where its binaries are installed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a database on a server of its own on loopback, which trusts everyone."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's initdb is not installed")
    # The server refuses to run as root, and a user's temporary folder may be closed to others.
    user = "postgres" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="metanas-postgresql-"))
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    make = [binaries / "initdb", "-D", data, "-U", "metanas", "-A", "trust", "-N", "--locale=C"]
    subprocess.run([*make, "-E", "UTF8"], user=user, cwd=folder, check=True, capture_output=True)
    port = _free_port()
    serve = [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*serve, "-c", "fsync=off"], user=user, cwd=folder, stdout=log, stderr=log
        )
    url = f"postgresql://metanas@127.0.0.1:{port}/postgres"
    try:
        give_up = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(url).close()
                break
            except psycopg.OperationalError:
                if server.poll() is not None or time.monotonic() > give_up:
                    raise RuntimeError((folder / "log").read_text()) from None
                time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGQUIT)  # waits neither for clients nor for the disk
        server.wait(timeout=60)
        shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """URL of the database, emptied: faster than to make one a test."""
    import psycopg

    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '30s'")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgresql_server
