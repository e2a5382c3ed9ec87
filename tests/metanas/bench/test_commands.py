"""The commands' defaults, on trials of which some tasks have few."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metadata_store.table import write_table
from tests.contracts.command_line import CommandLine, command_line
from tests.contracts.predictor import pretended, trial
from tests.contracts.ranker import source_trials
from tests.contracts.strategy import some_cells

ZERO_SHOT = ("bench", "zero-shot", "--methods", "portfolio,random", "--seeds", "1")
WARM_START = ("bench", "warm-start", "--methods", "portfolio,random", "--seeds", "1")
EARLY_STOP = ("bench", "early-stop", "--methods", "last-value,none", "--orders", "2")


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return command_line(f"sqlite:///{tmp_path / 'store.db'}", capsys)


def scored(task: str, count: int) -> list[Trial]:
    return [trial(task, each, pretended(each)) for each in some_cells(count)]


def stopped(task: str) -> Trial:
    architecture: Architecture = some_cells(1)[0]
    curve = LearningCurve("accuracy", (1,), (0.2,))
    return Trial(task, architecture, curve, TrialState.STOPPED, 0, "made up")


def table(folder: Path, rows: list[Trial]) -> tuple[str, str]:
    file = folder / "trials.parquet"
    write_table(file, [Trials.of(rows)])
    return "--trials", str(file)


@pytest.mark.parametrize("small", [[stopped("mine")], scored("mine", 1)])
@pytest.mark.parametrize("bench", [ZERO_SHOT, WARM_START])
def test_a_task_with_few_scores_is_no_target_unless_it_is_named(
    cli: CommandLine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    bench: tuple[str, ...],
    small: list[Trial],
) -> None:
    given = table(tmp_path, [*scored("one", 40), *scored("two", 40), *small])
    more = ("--budget", "12") if bench is WARM_START else ()
    found = cli.ok(*bench, *given, *more)
    assert set(found["targets"]) == {"one", "two"}
    count = len([each for each in small if each.score is not None])
    assert f"fewer than {12 if more else 10} scored architectures: mine ({count})" in caplog.text
    if bench is WARM_START:
        assert list(found["methods"]["random"]["regret"]) == ["1", "5", "10", "12"]


def test_a_named_target_without_a_score_is_named_in_the_error(
    cli: CommandLine, tmp_path: Path
) -> None:
    given = table(tmp_path, [*scored("one", 40), stopped("mine")])
    for bench in (ZERO_SHOT, WARM_START):
        assert "trials of 'mine' with a score" in cli.wrong(*bench, *given, "--target", "mine")
        assert "another task than 'one'" in cli.wrong(*bench, *given, "--target", "one")


def test_a_search_of_tables_smaller_than_the_budget_takes_the_largest(
    cli: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*scored("one", 20), *scored("two", 20), *scored("three", 15)]
    found = cli.ok(*WARM_START, *table(tmp_path, rows), "--budget", "50")
    assert set(found["targets"]) == {"one", "two"}
    assert "20" in found["methods"]["random"]["regret"]
    assert "three (15)" in caplog.text


def test_early_stopping_halves_what_there_is_where_no_numbers_are_given(
    cli: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = source_trials(("mine",), 3)
    given = table(tmp_path, [*source_trials(count=44), *small])
    found = cli.ok(*EARLY_STOP, *given)
    assert (found["sources"], found["runs"]) == (22, 22)
    assert set(found["targets"]) == {"one", "two", "three"}
    assert "too few whole runs: mine" in caplog.text
    assert "need at least 10 runs of 'one'" in cli.wrong(*EARLY_STOP, *given, "--sources", "200")
    assert cli.ok(*EARLY_STOP, *given, "--sources", "30")["runs"] == 14


def test_early_stopping_says_which_runs_are_of_another_length(
    cli: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = source_trials(count=44)
    short = rows[0].curve
    curve = LearningCurve(short.metric, short.epochs[:4], short.values[:4])
    rows[0] = Trial(rows[0].task, rows[0].architecture, curve, TrialState.COMPLETED, 0, "made up")
    caplog.set_level(logging.WARNING)
    found = cli.ok(*EARLY_STOP, *table(tmp_path, rows))
    assert found["left_out"] == {"one": 1}
    assert "most frequent length and metric are used; left out: 1" in caplog.text


def test_the_reference_trials_of_a_new_store_can_be_benchmarked(
    cli: CommandLine, caplog: pytest.LogCaptureFixture
) -> None:
    found = cli.ok(*EARLY_STOP, "--space", "nasbench201")
    assert (found["sources"], found["runs"]) == (100, 100)
    assert np.isfinite(found["stopping"]["none"]["regret"])
    assert not caplog.text


def test_a_targets_space_is_the_one_that_is_measured_in(cli: CommandLine, tmp_path: Path) -> None:
    other = [
        replace(each, architecture=Architecture("another", each.architecture.choices))
        for each in source_trials(("alone",), 12)
    ]
    given = table(tmp_path, [*source_trials(("one", "two"), 24), *other])
    found = cli.ok(*EARLY_STOP, *given, "--target", "alone")
    assert (found["sources"], found["runs"]) == (0, 12)
    assert "got made, another; choose with --space" in cli.wrong(*EARLY_STOP, *given)


def test_unusable_trials_are_told(
    cli: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = source_trials(count=24)
    percent = [
        replace(
            each,
            seed=1,
            curve=LearningCurve(
                "accuracy", each.curve.epochs, tuple(100 * value for value in each.curve.values)
            ),
        )
        for each in good[:7]
    ]
    cli.ok(*EARLY_STOP, *table(tmp_path, [*good, *percent]))
    assert "unusable trials are left out: score out of range (7)" in caplog.text
    said = cli.wrong(*EARLY_STOP, *table(tmp_path, percent))
    assert "no usable trials: score out of range (7)" in said
