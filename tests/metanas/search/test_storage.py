import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError

from metadata_store.errors import LostStore, StoreError, UnknownTask, UnreadableStore
from metadata_store.sql import connect
from metadata_store.store import open_store
from metanas.search import storage, study
from metanas.search.storage import open_storage, patiently, read_storage


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FIRST_PAUSE", 0.001)


def test_a_call_is_repeated_until_the_database_answers() -> None:
    errors = [StorageInternalError("gone"), StoreError("gone"), LostStore("gone")]

    def call() -> str:
        if errors:
            raise errors.pop()
        return "there"

    assert patiently(call) == "there"


def test_patience_ends_in_one_line_that_says_what_the_database_said() -> None:
    def call() -> None:
        try:
            raise OSError("connection refused\nDETAIL: long")
        except OSError as error:
            raise StorageInternalError("a long text of Optuna's") from error

    begin = time.monotonic()
    with pytest.raises(LostStore, match=r"^the database of the search: connection refused$"):
        patiently(call, patience=0.05)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("error", [UnknownTask("no task"), ValueError("wrong"), KeyError("x")])
def test_definite_answers_are_not_asked_for_again(error: Exception) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(type(error)):
        patiently(call)
    assert calls == 1


def test_the_studies_of_a_store_are_in_a_file_beside_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'my.store.db'}"
    open_store(url).close()
    with open_storage(url) as made:
        optuna.create_study(study_name="one", storage=made)
    assert (tmp_path / "my.store.studies.db").is_file()
    with open_storage(url) as again:
        assert optuna.get_all_study_names(again) == ["one"]
    open_store(url).close()


def test_reading_makes_no_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_storage(url, make=False) as none, read_storage(url) as nor_there:
        assert optuna.get_all_study_names(none) == []
        assert optuna.get_all_study_names(nor_there) == []
    assert list(tmp_path.iterdir()) == []


def test_a_store_in_memory_has_its_studies_there() -> None:
    with open_storage("memory://") as made, read_storage("memory://") as read:
        assert isinstance(made, optuna.storages.InMemoryStorage)
        assert isinstance(read, optuna.storages.InMemoryStorage)


@pytest.mark.parametrize("opened", [open_storage, read_storage])
def test_a_file_that_is_no_database_is_told_at_once_in_one_line(
    tmp_path: Path, opened: Callable[[str], AbstractContextManager[object]]
) -> None:
    (tmp_path / "store.studies.db").write_text("no database, but a long text " * 100)
    begin = time.monotonic()
    with (
        pytest.raises(StoreError, match="not a database") as caught,
        opened(f"sqlite:///{tmp_path / 'store.db'}"),
    ):
        pass
    assert time.monotonic() - begin < 5
    assert not isinstance(caught.value, LostStore)
    assert "\n" not in str(caught.value)


def test_a_server_that_was_never_reached_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    monkeypatch.setattr(storage, "LONGEST_PAUSE", 0.05)
    with (
        pytest.raises(UnreadableStore, match=r"^cannot open .*connection failed"),
        open_storage("postgresql://metanas@127.0.0.1:1/postgres"),
    ):
        pass


def sealed_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with a study of one trial, where nothing can be written."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_storage(url) as made:
        optuna.create_study(study_name="one", storage=made).enqueue_trial({"x": 1})
    monkeypatch.setattr(connect, "_is_sealed", Path.is_file)
    return url


def test_where_nothing_can_be_written_studies_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sealed_studies(tmp_path, monkeypatch)
    with read_storage(url) as read:
        study = optuna.load_study(study_name="one", storage=read)
        assert len(study.trials) == 1
        with pytest.raises(StorageInternalError):
            study.set_user_attr("told", True)
    assert [file.name for file in tmp_path.iterdir()] == ["store.studies.db"]


def test_where_nothing_can_be_written_studies_do_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sealed_studies(tmp_path, monkeypatch)
    with pytest.raises(UnreadableStore, match="readonly"), open_storage(url, make=False):
        pass


def test_studies_are_read_while_others_go_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_storage(url) as made:
        study = optuna.create_study(study_name="one", storage=made)
        study.enqueue_trial({"x": 1})
        with read_storage(url) as read:
            assert len(optuna.load_study(study_name="one", storage=read).trials) == 1
            study.enqueue_trial({"x": 2})
        with read_storage(url) as read:
            assert len(optuna.load_study(study_name="one", storage=read).trials) == 2


def test_transactions_on_one_file_queue(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_storage(url) as one, open_storage(url) as other:
        study = optuna.create_study(study_name="one", storage=one)
        for number in range(20):
            study.enqueue_trial({"x": number})
        twin = optuna.load_study(study_name="one", storage=other)
        popped = [each.ask().number for _ in range(10) for each in (study, twin)]
    assert sorted(popped) == list(range(20))


@pytest.mark.parametrize("table", ["studies", "version_info"])
@pytest.mark.parametrize("opener", [open_storage, read_storage])
def test_tables_of_another_program_are_told_at_once_with_the_file(
    tmp_path: Path,
    opener: Callable[..., AbstractContextManager[optuna.storages.BaseStorage]],
    table: str,
) -> None:
    with closing(sqlite3.connect(tmp_path / "s.studies.db")) as other, other:
        other.execute(f"CREATE TABLE {table} (name TEXT)")
    begin = time.monotonic()
    told = rf"^the database of the search sqlite:///.*/s\.studies\.db: no such column: {table}"
    with (
        pytest.raises(UnreadableStore, match=told),
        opener(f"sqlite:///{tmp_path / 's.db'}") as studies,
    ):
        study.study_names(studies)
    assert time.monotonic() - begin < 10


def test_a_copy_that_cannot_be_read_is_told_at_once_with_the_file(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.studies.db")) as other, other:
        other.execute("CREATE TABLE mine (name TEXT)")
        other.execute("CREATE INDEX ix_studies_study_name ON mine (name)")
    begin = time.monotonic()
    told = r"^cannot open the database of the search sqlite:///.*/s\.studies\.db: .* already exists"
    with pytest.raises(UnreadableStore, match=told):
        read_storage(f"sqlite:///{tmp_path / 's.db'}").__enter__()
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("opener", [open_storage, read_storage])
def test_tables_of_another_version_are_told_with_the_file(
    tmp_path: Path, opener: Callable[..., AbstractContextManager[optuna.storages.BaseStorage]]
) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with open_storage(url):
        pass
    with closing(sqlite3.connect(tmp_path / "s.studies.db")) as file, file:
        file.execute("UPDATE alembic_version SET version_num='v9.9.9'")
        file.execute("UPDATE version_info SET schema_version=99")
    with pytest.raises(UnreadableStore, match=r"s\.studies\.db: .*no longer compatible"):
        opener(url).__enter__()
