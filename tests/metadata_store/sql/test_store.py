from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata_store.sql import SqlStore
from metadata_store.store import MetadataStore
from tests.contracts.shared_store import SharedStoreContract
from tests.contracts.store import StoreContract


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
