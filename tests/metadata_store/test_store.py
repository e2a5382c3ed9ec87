import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from metadata_store.batch import Trials
from metadata_store.errors import UnreadableStore
from metadata_store.memory import MemoryStore
from metadata_store.records import Task
from metadata_store.reference import reference_contents
from metadata_store.store import completes, open_store, open_user_store
from metadata_store.table import write_table
from tests.contracts.trials import a_trial

FLOWERS = Task("flowers", "npz", "f.npz", 80, 4, (3, 8, 8), 0.25, {"size": 8.0})


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class TestOpening:
    def test_memory_is_a_new_store_each_time(self) -> None:
        open_store("memory://").add_trials([a_trial()])
        store = open_store("memory://")
        assert isinstance(store, MemoryStore)
        assert store.info().trials == 0

    def test_a_relative_path_stays_the_same_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with open_store("sqlite:///here.db") as store:
            monkeypatch.chdir("/")
            store.close()  # so that the next call connects again
            store.add_trials([a_trial()])
        with open_store(f"sqlite:///{tmp_path / 'here.db'}") as store:
            assert store.info().trials == 1

    @pytest.mark.parametrize("name", ["a b?c#d%20.db", "Ödland.db"])
    def test_any_file_name_will_do(self, tmp_path: Path, name: str) -> None:
        with open_store(f"sqlite:///{tmp_path / name}") as store:
            store.add_trials([a_trial()])
        assert (tmp_path / name).exists()

    def test_an_empty_file_becomes_a_store(self, tmp_path: Path) -> None:
        (tmp_path / "store.db").touch()
        with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
            assert store.add_trials([a_trial()]) == 1

    def test_readers_need_not_wait_for_a_writer(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'store.db'}"

        with open_store(url) as writer, open_store(url) as reader:

            def while_writing():
                yield Trials.of([a_trial(0)])
                assert reader.info().trials == 0
                assert len(reader.batch()) == 0
                yield Trials.of([a_trial(1)])

            writer.add_batches(while_writing())
            assert reader.info().trials == 2


class TestRefusing:
    def refuses(self, url: str, says: str) -> None:
        with pytest.raises(UnreadableStore, match=says) as caught:
            open_store(url)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        ["", "store.db", "mysql://host/db", "sqlite://", "sqlite:///", "sqlite:///:memory:"],
    )
    def test_what_is_no_url_of_a_store(self, url: str) -> None:
        self.refuses(url, r"memory://, sqlite:///path or postgresql://")

    def test_a_bare_path_is_told_its_url(self) -> None:
        self.refuses("my/store.db", "did you mean 'sqlite:///my/store.db'")

    def test_a_malformed_postgresql_url(self) -> None:
        self.refuses("postgresql://host:port/db", "postgresql://")

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        self.refuses(f"sqlite:///{tmp_path}/nowhere/store.db", f"no folder {tmp_path}/nowhere")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder(self, tmp_path: Path) -> None:
        self.refuses(f"sqlite:///{tmp_path}", "is no file")

    def test_a_read_only_place(self) -> None:
        if not Path("/proc/self").is_dir():
            pytest.skip("there is no /proc, a folder nobody can write to")
        self.refuses("sqlite:////proc/store.db", "sqlite:////proc/store.db: .*(open|readonly)")

    @pytest.mark.parametrize("size", [10, 100, 5000])
    def test_a_file_that_is_no_database(self, tmp_path: Path, size: int) -> None:
        (tmp_path / "store.db").write_bytes(b"plain text" * size)
        before = snapshot(tmp_path)
        self.refuses(f"sqlite:///{tmp_path / 'store.db'}", "not a database")
        assert snapshot(tmp_path) == before

    def test_a_database_of_something_else(self, tmp_path: Path) -> None:
        connection = sqlite3.connect(tmp_path / "store.db")
        connection.execute("CREATE TABLE studies (id INTEGER)")
        connection.close()
        before = snapshot(tmp_path)
        self.refuses(f"sqlite:///{tmp_path / 'store.db'}", "something else, .* tables studies")
        assert snapshot(tmp_path) == before

    def test_a_truncated_store(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        with open_store(f"sqlite:///{path}") as store:
            store.add_trials([a_trial(number) for number in range(100)])
        path.write_bytes(path.read_bytes()[:5000])
        before = snapshot(tmp_path)
        self.refuses(f"sqlite:///{path}", "malformed|not a database")
        assert snapshot(tmp_path) == before

    def test_a_newer_store_is_not_touched(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        open_store(f"sqlite:///{path}").close()
        connection = sqlite3.connect(path)
        connection.execute("UPDATE metanas_revision SET version_num = 'z9'")
        connection.commit()
        connection.close()
        before = snapshot(tmp_path)
        self.refuses(f"sqlite:///{path}", "schema revision z9, made by a newer metanas")
        assert snapshot(tmp_path) == before

    def test_a_server_that_does_not_answer_and_its_password_is_not_shown(self) -> None:
        pytest.importorskip("psycopg")
        with pytest.raises(UnreadableStore) as caught:
            open_store("postgresql://someone:secret@127.0.0.1:1/none")
        assert "secret" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_missing_driver_is_named_with_its_extra(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        self.refuses("postgresql://host/db", r"pip install 'metanas\[postgres\]'")


class TestUserStore:
    @pytest.fixture(autouse=True)
    def own_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "data" / "metanas"
        monkeypatch.setattr("platformdirs.user_data_dir", lambda name, appauthor: str(folder))
        monkeypatch.delenv("METANAS_STORE", raising=False)
        return folder

    @pytest.fixture
    def reference(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "reference"
        folder.mkdir()
        write_table(folder / "trials.parquet", [Trials.of([a_trial(0), a_trial(1)])])
        fields = vars(FLOWERS) | {"features": dict(FLOWERS.features)}
        (folder / "tasks.json").write_text(json.dumps([fields]))
        monkeypatch.setattr(
            "metadata_store.reference.reference_contents", lambda: reference_contents(folder)
        )
        return folder

    def test_the_default_is_a_file_in_the_users_folder(
        self, reference: Path, own_folder: Path
    ) -> None:
        open_user_store().close()
        assert (own_folder / "store.db").exists()

    def test_the_environment_names_another(
        self,
        reference: Path,
        tmp_path: Path,
        own_folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("METANAS_STORE", f"sqlite:///{tmp_path / 'mine.db'}")
        open_user_store().close()
        assert (tmp_path / "mine.db").exists()
        open_user_store(f"sqlite:///{tmp_path / 'given.db'}").close()
        assert (tmp_path / "given.db").exists()
        assert not own_folder.exists()

    @pytest.mark.parametrize("form", ["memory://", "sqlite:///{}/store.db"])
    def test_a_new_store_starts_with_the_reference(
        self, reference: Path, tmp_path: Path, form: str
    ) -> None:
        with open_user_store(form.format(tmp_path)) as store:
            assert list(store.trials()) == [a_trial(0), a_trial(1)]
            assert store.tasks() == [FLOWERS]
            store.add_trials([a_trial(2)])
            assert store.info().trials == 3

    def test_a_store_that_is_there_is_not_filled(self, reference: Path, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'store.db'}"
        open_store(url).close()
        with open_user_store(url) as store:
            assert store.info().trials == 0

    def test_a_new_store_may_start_empty(self, reference: Path) -> None:
        with open_user_store(reference=False) as store:
            assert store.info().trials == 0

    def test_a_damaged_reference_leaves_a_store_to_be_filled_later(
        self, reference: Path, tmp_path: Path
    ) -> None:
        table = reference / "trials.parquet"
        whole = table.read_bytes()
        table.write_bytes(whole[:50])
        with pytest.raises(UnreadableStore, match=r"trials\.parquet"):
            open_user_store()
        table.write_bytes(whole)
        with open_user_store() as store:
            assert store.info().trials == 2


def test_only_data_complete_a_table():
    assert completes(FLOWERS, Task.table("flowers"))
    assert not completes(Task.table("flowers"), Task.table("flowers"))
    assert not completes(FLOWERS, FLOWERS)


def test_counting_a_store_loads_neither_arrow_nor_alembic(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).close()
    code = (
        "import sys; from metadata_store.store import open_store;"
        "open_store(sys.argv[1]).info();"
        "print(*({'pyarrow', 'numpy', 'alembic', 'torch'} & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == []
