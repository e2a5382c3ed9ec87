"""What a store does that processes share, and that outlives them."""

import os
import random
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from metadata_store.batch import Trials
from metadata_store.errors import UnreadableStore
from metadata_store.ingest import ingest
from metadata_store.sql import SqlStore
from metadata_store.sql.connect import make_engine, reading, writing
from metadata_store.sql.schema import VERSION_TABLE, revision_of
from metadata_store.store import Contents, open_store
from metadata_store.table import read_tables, write_table
from tests.contracts.trials import a_trial

PROCESSES = 8
EACH = 500

ADD = """
import sys
from metadata_store.batch import Trials
from metadata_store.sql import SqlStore
from metadata_store.store import Contents
from tests.contracts.trials import a_trial

def initial():
    return Contents([], [Trials.of([a_trial(source="initial")])])

url, source, each, at_once = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
trials = [a_trial(number, source=source) for number in range(each)]
sys.stdin.readline()  # all start at once
with SqlStore(url, initial=initial) as store:
    for start in range(0, each, at_once):
        assert store.add_trials(trials[start : start + at_once]) == at_once
"""

IMPORT = """
import sys
from metadata_store.ingest import ingest
from metadata_store.store import open_store
from metadata_store.table import read_tables

url, path = sys.argv[1:]
with open_store(url) as store:
    print("begins", flush=True)
    ingest(store, read_tables(path), {})
    print("done", flush=True)
"""

MAKE = """
import sys, time
from metadata_store.batch import Trials
from metadata_store.sql import SqlStore
from metadata_store.store import Contents
from tests.contracts.trials import a_trial

def batches():
    yield Trials.of([a_trial(0)])
    print("half", flush=True)
    time.sleep(60)

SqlStore(sys.argv[1], initial=lambda: Contents([], batches()))
"""

ROOT = Path(__file__).parents[2]


def start(code: str, *arguments: str) -> subprocess.Popen:
    """A Python process that finds the packages and the tests."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


class SharedStoreContract(ABC):
    at_once: int
    """Trials a writing process adds in one call; divides `EACH`."""

    @pytest.fixture
    @abstractmethod
    def url(self) -> str:
        """Of a store that is not there yet."""

    def test_a_store_is_made_on_first_use_and_kept(self, url: str) -> None:
        with open_store(url) as store:
            store.add_trials([a_trial()])
        with open_store(url) as store:
            assert list(store.trials()) == [a_trial()]
            assert store.info().revision

    def test_processes_that_make_one_store_at_once_lose_nothing(self, url: str) -> None:
        writers = [
            start(ADD, url, f"process{number}", str(EACH), str(self.at_once))
            for number in range(PROCESSES)
        ]
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        for writer in writers:
            writer.communicate()
            assert writer.returncode == 0
        with open_store(url) as store:
            found = list(store.trials())
        assert found[0] == a_trial(source="initial")
        assert len({trial.identity for trial in found}) == len(found) == PROCESSES * EACH + 1

    def test_a_killed_import_leaves_a_readable_store_and_can_be_repeated(
        self, url: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "trials.parquet"
        total = 10_000
        batch = Trials.of([a_trial(number, source="killed") for number in range(total)])
        write_table(path, [batch])
        with open_store(url) as store:
            store.add_trials([a_trial()])
        chance = random.Random(0)
        seen = set()
        for longest in (0.1, 0.4, 0.8):
            importer = start(IMPORT, url, str(path))
            assert importer.stdout.readline() == "begins\n"
            time.sleep(chance.uniform(0, longest))
            importer.send_signal(signal.SIGKILL)
            importer.communicate()
            with open_store(url) as store:
                seen.add(store.info().trials)
                assert store.info().trials in (1, total + 1)
                assert len(store.batch()) == store.info().trials
        assert 1 in seen
        with open_store(url) as store:
            report = ingest(store, read_tables(path), {})
            assert report.added + report.known == total
            assert list(store.batch())[1:] == list(batch)

    def test_a_new_store_is_filled_in_the_moment_it_is_made(self, url: str) -> None:
        def broken() -> Contents:
            def batches():
                yield Trials.of([a_trial(0)])
                raise RuntimeError("killed")

            return Contents([], batches())

        def whole() -> Contents:
            return Contents([], [Trials.of([a_trial(0), a_trial(1)])])

        def not_again() -> Contents:
            raise AssertionError("the store is there")

        with pytest.raises(RuntimeError, match="killed"):
            SqlStore(url, initial=broken)
        with SqlStore(url, initial=whole) as store:
            assert list(store.trials()) == [a_trial(0), a_trial(1)]
        with SqlStore(url, initial=not_again) as store:
            assert store.info().trials == 2

    def test_a_process_killed_while_it_makes_a_store_leaves_that_to_the_next(
        self, url: str
    ) -> None:
        maker = start(MAKE, url)
        assert maker.stdout.readline() == "half\n"
        maker.send_signal(signal.SIGKILL)
        maker.communicate()
        whole = Contents([], [Trials.of([a_trial(0), a_trial(1)])])
        with SqlStore(url, initial=lambda: whole) as store:
            assert list(store.trials()) == [a_trial(0), a_trial(1)]

    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
    def test_a_forked_process_uses_a_connection_of_its_own(self, url: str) -> None:
        with open_store(url) as store:
            store.add_trials([a_trial(0)])
            child = os.fork()
            if child == 0:
                try:
                    store.add_trials([a_trial(1)])
                    store.close()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            store.add_trials([a_trial(2)])
            assert list(store.trials()) == [a_trial(0), a_trial(1), a_trial(2)]

    def test_a_store_of_a_newer_schema_is_refused_and_left_alone(self, url: str) -> None:
        with open_store(url) as store:
            store.add_trials([a_trial()])
        engine = make_engine(url)
        with writing(engine) as connection:
            connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9001'")
        with pytest.raises(UnreadableStore, match="schema revision 9001, made by a newer metanas"):
            open_store(url)
        with reading(engine) as connection:
            assert revision_of(connection) == "9001"
            assert connection.exec_driver_sql("SELECT count(*) FROM metanas_trial").scalar() == 1
        engine.dispose()
