from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata_store.sql import SqlStore
from metadata_store.sql.connect import make_engine, writing
from metadata_store.store import MetadataStore, open_store
from tests.contracts.shared_store import SharedStoreContract
from tests.contracts.store import StoreContract
from tests.contracts.trials import a_trial


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[MetadataStore]:
        with SqlStore(f"sqlite:///{tmp_path / 'store.db'}") as store:
            yield store


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
