from collections.abc import Iterator

import pytest

from metadata_store.batch import Trials
from metadata_store.memory import MemoryStore
from metadata_store.store import MetadataStore
from tests.contracts.store import StoreContract
from tests.contracts.trials import a_trial


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[MetadataStore]:
        return MemoryStore()


def test_batches_are_read_without_being_copied_again():
    store = MemoryStore()
    store.add_batches([Trials.of([a_trial(number)]) for number in range(3)])
    assert store.batch() is store.batch()
