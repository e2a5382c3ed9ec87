"""Reports on tasks and studies from the command line."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from metadata_store.batch import Trials
from metadata_store.sql import connect
from metadata_store.store import open_store
from metadata_store.table import write_table
from tests.contracts.command_line import CommandLine, command_line
from tests.contracts.searches import source_trials_of


@pytest.fixture
def metanas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Its store has task one; table.parquet has task target."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_store(url) as store:
        store.add_trials(source_trials_of(["one"]))
    write_table(tmp_path / "table.parquet", [Trials.of(source_trials_of(["target"]))])
    return command_line(url, capsys)


def searched(metanas: CommandLine, tmp_path: Path, study: str) -> None:
    table = str(tmp_path / "table.parquet")
    run = ["search", "target", "--oracle", table, "--no-mlflow", "--sampler", "random"]
    metanas.ok(*run, "--budget", "2", "--study", study)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--max-params", "5", "--space", "nope"], "--max-params, --space play no part"),
        (["--seed", "0"], "--seed plays no part"),
        (["--config", "missing.yaml"], "--config plays no part"),
    ],
)
def test_options_of_a_recommendation_are_refused_for_a_study(
    metanas: CommandLine, tmp_path: Path, options: list[str], told: str
) -> None:
    searched(metanas, tmp_path, "s")
    file = tmp_path / "s.html"
    assert told in metanas.wrong("report", "s", "--out", str(file), *options)
    assert not file.exists()
    metanas.ok("report", "s", "--out", str(file))
    assert "Search s" in file.read_text("utf-8")


def test_where_nothing_can_be_written_tasks_and_studies_are_reported_on(
    metanas: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(metanas, tmp_path, "s")
    studies = tmp_path / "store.studies.db"
    with closing(sqlite3.connect(studies)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # what opens it to write changes that
    before = studies.read_bytes()
    # As in a folder that cannot be written to; there is none for root.
    monkeypatch.setattr(connect, "_is_sealed", Path.is_file)
    file = tmp_path / "s.html"
    metanas.ok("report", "s", "--out", str(file))
    assert "Search s" in file.read_text("utf-8")
    metanas.ok("report", "one", "--out", str(file), "--space", "mini", "--predictor", "ridge")
    assert "Recommended" in file.read_text("utf-8")
    assert studies.read_bytes() == before


def test_studies_that_are_no_database_are_wrong_input(metanas: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "store.studies.db").write_text("hello\n")
    file = str(tmp_path / "none.html")
    assert "not a database" in metanas.wrong("report", "none", "--out", file)
    assert "not a database" in metanas.wrong("store", "push-mlflow", "--study", "none")


def test_a_task_is_reported_on_although_the_studies_are_no_database(
    metanas: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store.studies.db").write_text("hello\n")
    file = tmp_path / "one.html"
    metanas.ok("report", "one", "--out", str(file), "--space", "mini", "--predictor", "ridge")
    assert "Recommended" in file.read_text("utf-8")
    assert "without the searches of that name: " in caplog.text


@pytest.mark.parametrize("table", ["studies", "version_info"])
def test_a_task_is_reported_on_although_the_studies_are_another_programs(
    metanas: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    studies = tmp_path / "store.studies.db"
    with closing(sqlite3.connect(studies)) as other, other:
        other.execute(f"CREATE TABLE {table} (x INTEGER)")
    file = tmp_path / "one.html"
    metanas.ok("report", "one", "--out", str(file), "--space", "mini", "--predictor", "ridge")
    assert "Recommended" in file.read_text("utf-8")
    (line,) = (each for each in caplog.messages if each.startswith("without the searches"))
    assert f"that name: the database of the search sqlite:///{studies}: no such column" in line
    assert "\n" not in line


def test_a_task_and_a_study_of_one_name_share_a_page(metanas: CommandLine, tmp_path: Path) -> None:
    searched(metanas, tmp_path, "target")
    file = tmp_path / "target.html"
    metanas.ok("report", "target", "--out", str(file), "--space", "mini", "--predictor", "ridge")
    text = file.read_text("utf-8")
    assert text.count("<!doctype html>") == 1
    assert text.index("<h1>Search target</h1>") < text.index("<h1>target</h1>")
    assert "2 trials in space mini" in text
    assert "Recommended" in text


def test_a_study_of_someone_else_by_a_tasks_name_is_no_part_of_its_report(
    metanas: CommandLine, tmp_path: Path
) -> None:
    for name in ("one", "foreign"):
        optuna.create_study(study_name=name, storage=f"sqlite:///{tmp_path / 'store.studies.db'}")
    file = tmp_path / "one.html"
    metanas.ok("report", "one", "--out", str(file), "--space", "mini", "--predictor", "ridge")
    assert "Search one" not in file.read_text("utf-8")
    assert "nor is there a study" in metanas.wrong("report", "foreign", "--out", str(file))


def test_a_resumed_study_tells_the_settings_of_each_run(
    metanas: CommandLine, tmp_path: Path
) -> None:
    searched(metanas, tmp_path, "s")
    run = ["search", "target", "--oracle", str(tmp_path / "table.parquet"), "--no-mlflow"]
    others = ["--budget", "5", "--sampler", "tpe", "--pruner", "median", "--seed", "5"]
    metanas.ok(*run, "--study", "s", *others)
    file = tmp_path / "s.html"
    metanas.ok("report", "s", "--out", str(file))
    text = file.read_text("utf-8").replace(' class="wrap"', "")
    changed = "sampler tpe, pruner median, budget 5, seed 5"
    assert "<td>sampler</td><td>random</td>" in text
    assert f"<td>trial 2</td><td>{changed}</td>" in text
