"""An SQLite store that can be read but not written to."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from metadata_store.errors import StoreError, UnreadableStore
from metadata_store.sql import SqlStore
from metadata_store.sql.connect import make_engine, reading, writing
from metadata_store.sql.schema import TRIAL
from metadata_store.store import open_store
from tests.contracts.trials import a_trial

NOBODY = 65534
COUNT = sa.select(sa.func.count()).select_from(TRIAL)

KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in (
    "PRAGMA journal_mode=DELETE",
    "PRAGMA cache_size=2",
    "BEGIN IMMEDIATE",
    "DELETE FROM metanas_trial",
    "CREATE TABLE filler (bytes)",
    "INSERT INTO filler VALUES (randomblob(1000000))",
):
    connection.execute(line)
os.kill(os.getpid(), 9)
"""
"""A process that dies in a transaction of which a part is in the file: it has no log."""


@contextmanager
def user(number: int) -> Iterator[None]:
    """As another user, where this one is root and may do all: what is imported stays so."""
    before = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def url() -> Iterator[str]:
    """A store of one trial in a folder that cannot be written to."""
    # A temporary folder of pytest's is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="metanas-sealed-"))
    url = f"sqlite:///{folder / 'a?b #c.db'}"
    with open_store(url) as store:
        store.add_trials([a_trial(0)])
        assert len(store.batch()) == store.info().trials == 1
    folder.chmod(0o555)
    yield url
    folder.chmod(0o755)
    shutil.rmtree(folder)


def add(url: str) -> None:
    """A trial more, by the store's owner."""
    folder = Path(url.removeprefix("sqlite:///")).parent
    with user(0):
        folder.chmod(0o755)
        with open_store(url) as store:
            store.add_trials([a_trial(1)])
        folder.chmod(0o555)


def test_a_store_in_a_folder_that_cannot_be_written_to_is_read(url: str) -> None:
    with user(NOBODY), open_store(url) as store:
        assert list(store.trials()) == [a_trial(0)]
        with pytest.raises(StoreError, match="readonly"):
            store.add_trials([a_trial(1)])
        add(url)
        assert list(store.batch()) == [a_trial(0), a_trial(1)]


def test_who_means_to_write_to_it_is_told_at_once(url: str) -> None:
    with user(NOBODY), pytest.raises(UnreadableStore, match=r"^cannot open .*readonly"):
        SqlStore(url, writes=True)


def test_who_means_to_write_does_not_wait_for_others_to_end(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).parent.chmod(0o755)
    begin = time.monotonic()
    with writing(make_engine(url)), SqlStore(url, writes=True) as store:
        assert store.info().trials == 1
    assert time.monotonic() - begin < 10


def test_who_found_that_it_can_be_written_to_waits_for_its_turn(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).parent.chmod(0o755)
    with SqlStore(url, writes=True) as store, ThreadPoolExecutor(1) as at_once:
        with writing(make_engine(url)):
            waiting = at_once.submit(store.add_trials, [a_trial(1)])
            time.sleep(0.2)
        assert waiting.result(timeout=60) == 1


def test_while_its_owner_writes_it_is_read_as_any_store(url: str) -> None:
    folder = Path(url.removeprefix("sqlite:///")).parent
    folder.chmod(0o755)
    with open_store(url) as owned:
        owned.add_trials([a_trial(1)])
        folder.chmod(0o555)
        with user(NOBODY), open_store(url) as store:
            assert store.info().trials == 2
        folder.chmod(0o755)


def test_a_log_that_a_killed_writer_left_where_nothing_can_be_written_is_told(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    log = path.with_name(f"{path.name}-wal")
    path.parent.chmod(0o755)
    with open_store(url) as owned:
        owned.add_trials([a_trial(1)])
        left = log.read_bytes()
    log.write_bytes(left)
    path.parent.chmod(0o555)
    with user(NOBODY), pytest.raises(UnreadableStore, match=r"killed and left a\?b #c\.db-wal; op"):
        open_store(url)
    path.parent.chmod(0o755)
    with open_store(url) as owned:
        assert owned.info().trials == 2


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that any user may write to."""
    folder = Path(tempfile.mkdtemp(prefix="metanas-elsewhere-"))
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_link_to_such_a_store_is_read(url: str, elsewhere: Path) -> None:
    (elsewhere / "link.db").symlink_to(url.removeprefix("sqlite:///"))
    with user(NOBODY), open_store(f"sqlite:///{elsewhere / 'link.db'}") as store:
        assert store.info().trials == 1


def test_a_store_linked_from_such_a_folder_is_read_and_written_as_any(
    url: str, elsewhere: Path
) -> None:
    link = Path(url.removeprefix("sqlite:///")).parent / "link.db"
    link.parent.chmod(0o755)
    link.symlink_to(elsewhere / "store.db")
    link.parent.chmod(0o555)
    with user(NOBODY), open_store(f"sqlite:///{elsewhere / 'store.db'}") as owned:
        owned.add_trials([a_trial(1)])
        with open_store(f"sqlite:///{link}") as store:
            assert store.info().trials == 1
            assert store.add_trials([a_trial(2)]) == 1


def test_half_a_transaction_that_a_killed_writer_left_is_not_read(url: str) -> None:
    folder = Path(url.removeprefix("sqlite:///")).parent
    folder.chmod(0o755)
    subprocess.run([sys.executable, "-c", KILLED, str(folder / "a?b #c.db")], check=False)
    assert (folder / "a?b #c.db-journal").exists()
    folder.chmod(0o555)
    with user(NOBODY), pytest.raises(StoreError):
        open_store(url)
    folder.chmod(0o755)
    open_store(url).close()  # its owner's, who may take back what was half done
    folder.chmod(0o555)
    with user(NOBODY), open_store(url) as store:
        assert store.info().trials == 1


def test_a_change_while_such_a_store_is_read_is_noticed(url: str) -> None:
    def read_while_it_changes() -> None:
        with reading(engine) as connection:
            assert connection.scalar(COUNT) == 1
            add(url)

    with user(NOBODY):
        engine = make_engine(url)
        with pytest.raises(StoreError, match="was changed while it was read; try again"):
            read_while_it_changes()
        with reading(engine) as connection:
            assert connection.scalar(COUNT) == 2


def test_a_change_is_told_of_also_where_what_was_read_made_no_sense(url: str) -> None:
    def read_while_it_changes() -> None:
        with reading(engine):
            add(url)
            raise IndexError("a curve without points")

    with user(NOBODY):
        engine = make_engine(url)
        with pytest.raises(StoreError, match="was changed while it was read") as caught:
            read_while_it_changes()
        assert isinstance(caught.value.__cause__, IndexError)


def test_other_errors_stay_as_they_are(url: str) -> None:
    with user(NOBODY), pytest.raises(IndexError), reading(make_engine(url)):
        raise IndexError("a curve without points")


def test_a_store_that_was_at_rest_is_read_while_its_owner_writes(url: str) -> None:
    folder = Path(url.removeprefix("sqlite:///")).parent
    with user(NOBODY):
        store = open_store(url)
        assert store.info().trials == 1
    folder.chmod(0o755)
    with open_store(url) as owned:
        owned.add_trials([a_trial(1)])  # into the log: the file itself stays as it was
        folder.chmod(0o555)
        with user(NOBODY), store:
            assert store.info().trials == 2
        folder.chmod(0o755)


def test_a_store_that_could_only_be_read_is_written_once_its_folder_can_be(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    with user(NOBODY), open_store(url) as store:
        assert store.info().trials == 1
        with user(0):
            path.parent.chmod(0o777)
            path.chmod(0o666)
        assert store.add_trials([a_trial(1)]) == 1
        assert store.info().trials == 2


def test_of_a_store_that_is_not_at_rest_changes_are_expected(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks at a file that another process writes to may differ."""
    folder = Path(url.removeprefix("sqlite:///")).parent
    with user(NOBODY):
        engine = make_engine(url)
    folder.chmod(0o755)
    sizes, as_it_is = iter(range(100)), Path.stat

    def stat(path: Path) -> os.stat_result:
        found = as_it_is(path)
        return os.stat_result([*found[:6], next(sizes), *found[7:10]])

    monkeypatch.setattr(Path, "stat", stat)
    with reading(engine) as connection:
        assert connection.scalar(COUNT) == 1
