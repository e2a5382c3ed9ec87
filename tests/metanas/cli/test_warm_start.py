from pathlib import Path

import pytest

from metadata_store.batch import Trials
from metadata_store.table import write_table
from tests.contracts.command_line import CommandLine, command_line
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import some_cells


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return command_line(f"sqlite:///{tmp_path / 'store.db'}", capsys)


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    cells = some_cells(60)
    given = []
    for task, scale in (("easy", 1.0), ("hard", 0.5)):
        rows = Trials.of(trial(task, each, scale * pretended(each)) for each in cells)
        given += ["--trials", str(tmp_path / f"{task}.parquet")]
        write_table(given[-1], [rows])
    return given


QUICK = ("--budget", "6", "--seeds", "2", "--sources", "20", "--methods", "random,portfolio")


def test_the_document_has_regret_by_evaluations(cli: CommandLine, tables: list[str]) -> None:
    found = cli.ok("bench", "warm-start", *tables, "--target", "hard", *QUICK)
    assert set(found["methods"]) == {"random", "portfolio"}
    for row in found["methods"].values():
        assert set(row["regret"]) == {"1", "5", "6"}
        assert row["ms_per_suggestion"] > 0.0
    assert set(found["paired"]["hard"]["portfolio"]) == {"random"}


def test_the_table_has_a_row_a_method(cli: CommandLine, tables: list[str]) -> None:
    status, out, _ = cli.run("bench", "warm-start", *tables, "--target", "hard", *QUICK)
    assert status == 0
    assert "random" in out
    assert "portfolio" in out


def test_wrong_input_gets_one_line(cli: CommandLine, tables: list[str]) -> None:
    bench = ("bench", "warm-start", *tables, *QUICK)
    assert "no trials of task 'none'" in cli.wrong(*bench, "--target", "none")
    assert "no trials of task 'gone'" in cli.wrong(*bench, "--source-task", "gone")
    assert "unknown method 'magic'" in cli.wrong(*bench, "--methods", "magic")
    assert "at least 1" in cli.wrong(*bench, "--budget", "0")
