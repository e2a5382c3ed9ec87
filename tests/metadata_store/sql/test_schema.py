"""Revisions, and stores of earlier ones.

``stores/<revision>.sql`` is a store of that revision, made when it was the
newest: two trials of the task "flowers" and a task "empty". A new revision adds
its own file, so that every older one stays upgradable.
"""

import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from metadata_store.records import Task
from metadata_store.sql import schema
from metadata_store.sql.connect import make_engine, reading, writing
from metadata_store.sql.schema import MIGRATIONS, REVISIONS, TRIAL, VERSION_TABLE, upgrade
from metadata_store.store import open_store
from tests.contracts.trials import a_trial

STORES = Path(__file__).parent / "stores"


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path):
    url = (
        f"sqlite:///{tmp_path / 'store.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgresql_url")
    )
    engine = make_engine(url)
    yield engine
    engine.dispose()


def test_every_revision_has_its_file_and_follows_the_one_before():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


def test_the_revisions_lead_to_the_tables_in_use(engine: sa.Engine):
    def ours(_object, name, kind, _reflected, _other) -> bool:
        return kind != "table" or name != VERSION_TABLE

    with writing(engine) as connection:
        upgrade(connection)
    with reading(engine) as connection:
        options = {"include_object": ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, TRIAL.metadata) == []


def test_every_revision_left_a_store_to_upgrade():
    assert {path.stem for path in STORES.glob("*.sql")} == set(REVISIONS)


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_store_of_a_revision_is_upgraded_with_all_that_is_in_it(revision: str, tmp_path: Path):
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.executescript((STORES / f"{revision}.sql").read_text())
    connection.close()
    with open_store(f"sqlite:///{path}") as store:
        assert store.info().revision == REVISIONS[-1]
        assert list(store.trials()) == [a_trial(0), a_trial(1, seconds=float("nan"))]
        assert [task.name for task in store.tasks()] == ["empty", "flowers"]
        assert store.add_trials([a_trial(0), a_trial(2)]) == 1


def test_an_older_store_is_upgraded_when_it_is_opened(
    engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = engine.url.render_as_string().replace("+psycopg", "")
    with open_store(url) as store:
        store.add_trials([a_trial()])
        store.add_task(Task.table("empty"))
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, newer)
    (newer / "versions" / "r9000_note.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        f"revision, down_revision = '9000', '{REVISIONS[-1]}'\n"
        "def upgrade():\n"
        "    op.add_column('metanas_trial', sa.Column('note', sa.Text))\n"
    )
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    monkeypatch.setattr("metadata_store.sql.store.REVISIONS", (*REVISIONS, "9000"))
    with open_store(url) as store:
        assert store.info().revision == "9000"
        assert list(store.trials()) == [a_trial()]
        assert store.add_trials([a_trial(), a_trial(1)]) == 1
    with reading(engine) as connection:
        assert "note" in {
            column["name"] for column in sa.inspect(connection).get_columns("metanas_trial")
        }


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(
    engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = engine.url.render_as_string().replace("+psycopg", "")
    with open_store(url) as store:
        store.add_trials([a_trial()])
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, newer)
    (newer / "versions" / "r9000_breaks.py").write_text(
        "from alembic import op\n"
        f"revision, down_revision = '9000', '{REVISIONS[-1]}'\n"
        "def upgrade():\n"
        "    op.drop_column('metanas_trial', 'extras')\n"
        "    raise RuntimeError('breaks')\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", newer)
        patch.setattr("metadata_store.sql.store.REVISIONS", (*REVISIONS, "9000"))
        with pytest.raises(RuntimeError, match="breaks"):
            open_store(url)
    with open_store(url) as store:
        assert list(store.trials()) == [a_trial()]
