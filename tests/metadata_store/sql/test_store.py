import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from metadata_store.batch import Trials
from metadata_store.errors import LostStore, StoreError
from metadata_store.records import NAME_BYTES, Architecture, Task
from metadata_store.sql import SqlStore
from metadata_store.sql.connect import make_engine, reading, writing
from metadata_store.sql.schema import METRIC, SOURCE, SPACE, TASK
from metadata_store.store import MetadataStore, open_store
from tests.contracts.shared_store import SharedStoreContract
from tests.contracts.store import StoreContract
from tests.contracts.trials import a_trial


def end_connections(url: str) -> None:
    """All others to a PostgreSQL database, as when its server is restarted."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@contextmanager
def stricter(url: str) -> Iterator[None]:
    """Transactions of the database see it as it was at their first query, unless they say."""
    import psycopg

    setting = "default_transaction_isolation"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE postgres SET {setting} = 'repeatable read'")
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE postgres RESET {setting}")


def wait_for_a_writer(url: str) -> None:
    """Until one waits for another to end."""
    import psycopg

    give_up = time.monotonic() + 60
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(query).fetchone() == (0,):
            assert time.monotonic() < give_up
            time.sleep(0.01)


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[MetadataStore]:
        with SqlStore(f"sqlite:///{tmp_path / 'store.db'}") as store:
            yield store

    def test_longer_names_of_an_older_version_are_read(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'store.db'}"
        long = "n" * (NAME_BYTES + 1)
        with SqlStore(url) as store:
            store.add_trials([a_trial()])
            engine = make_engine(url)
            with writing(engine) as connection:
                for table in (TASK, SPACE, SOURCE, METRIC):
                    connection.execute(table.update().values(name=long))
            engine.dispose()
            assert store.tasks() == [store.task(long)] == [Task.table(long)]
            for (trial,) in (list(store.trials(task=long)), store.batch(space=long)):
                assert (trial.task, trial.source, trial.curve.metric) == (long, long, long)
                assert trial.architecture == Architecture(long, a_trial().architecture.choices)
            assert store.add_trials([a_trial(1)]) == 1


class TestPostgresqlStore(StoreContract):
    @pytest.fixture
    def store(self, postgresql_url: str) -> Iterator[MetadataStore]:
        with SqlStore(postgresql_url) as store:
            yield store


class TestSharedSqliteStore(SharedStoreContract):
    at_once = 1

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'store.db'}"


class TestSharedPostgresqlStore(SharedStoreContract):
    at_once = 25

    @pytest.fixture
    def url(self, postgresql_url: str) -> str:
        return postgresql_url

    def test_the_database_may_hold_the_tables_of_others(self, url: str) -> None:
        engine = make_engine(url)
        with writing(engine) as connection:
            for table in ("trials", "metrics", "alembic_version"):
                connection.exec_driver_sql(f"CREATE TABLE {table} (version_num TEXT)")
        engine.dispose()
        with open_store(url) as store:
            assert store.add_trials([a_trial()]) == 1

    def test_writers_of_the_same_names_queue_whatever_the_databases_default_isolation(
        self, url: str
    ) -> None:
        open_store(url).close()
        with stricter(url), open_store(url) as store, open_store(url) as other:
            with ThreadPoolExecutor(1) as at_once:

                def batches() -> Iterator[Trials]:
                    yield Trials.of([a_trial(0)])
                    waiting.append(at_once.submit(other.add_trials, [a_trial(1)]))
                    wait_for_a_writer(url)

                waiting: list[Future[int]] = []
                assert store.add_batches(batches()) == 1
                assert waiting[0].result(timeout=60) == 1
            assert [task.name for task in store.tasks()] == ["flowers"]

    def test_a_server_may_be_restarted_between_two_calls(self, url: str) -> None:
        with open_store(url) as store:
            store.add_trials([a_trial(0)])
            end_connections(url)
            assert store.add_trials([a_trial(1)]) == 1
            end_connections(url)
            assert len(store.batch()) == 2

    def test_a_server_lost_in_a_transaction_is_told_from_other_errors(self, url: str) -> None:
        def batches() -> Iterator[Trials]:
            yield Trials.of([a_trial(1)])
            end_connections(url)
            yield Trials.of([a_trial(2)])

        with open_store(url) as store:
            with pytest.raises(LostStore, match=r"^postgresql://.*terminating connection"):
                store.add_batches(batches())
            assert store.info().trials == 0
        engine = make_engine(url)
        with pytest.raises(StoreError, match="division by zero") as caught, writing(engine) as lent:
            lent.exec_driver_sql("SELECT 1 / 0")
        assert not isinstance(caught.value, LostStore)
        engine.dispose()

    def test_a_server_that_ended_an_idle_transaction_is_lost(self, url: str) -> None:
        engine = make_engine(url)

        def idle() -> None:
            with writing(engine) as connection:
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
                time.sleep(0.5)
                connection.exec_driver_sql("SELECT 1")

        with pytest.raises(LostStore, match="idle-in-transaction timeout"):
            idle()
        engine.dispose()

    def test_a_statement_that_the_driver_refuses_loses_nothing(self, url: str) -> None:
        engine = make_engine(url)
        query, values = f"SELECT {','.join(['%s'] * 70_000)}", tuple(range(70_000))
        with (
            pytest.raises(StoreError, match="number of parameters") as caught,
            reading(engine) as connection,
        ):
            connection.exec_driver_sql(query, values)
        assert not isinstance(caught.value, LostStore)
        engine.dispose()

    def test_a_server_that_has_stopped_is_lost(self, url: str) -> None:
        engine = make_engine(re.sub(r":\d+/", ":1/", url))
        with pytest.raises(LostStore, match="connection failed"), reading(engine):
            pass
