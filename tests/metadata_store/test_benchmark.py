from pathlib import Path

import pytest

from metadata_store.batch import Trials
from metadata_store.benchmark import EDGES, OPERATIONS, STEPS, Case, Step, _run, batches, main
from metadata_store.filters import screen
from metadata_store.store import open_store
from metadata_store.table import write_table


@pytest.mark.parametrize(("distinct", "cells"), [(True, 16_000), (False, 15_625)])
def test_its_trials_are_usable_and_all_different(distinct: bool, cells: int):
    batch = Trials.concat(batches(Case(16_000, distinct)))
    _, rejected = screen(batch.table, {"nasbench201": dict.fromkeys(EDGES, OPERATIONS)})
    assert rejected == {}
    assert len(batch.architectures) == cells
    tasks, seeds = batch.codes("task"), batch.seeds
    assert len(set(zip(tasks, batch.architecture_codes, seeds, strict=True))) == 16_000


def test_every_step_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    url, table = f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "trials.parquet"
    write_table(table, batches(Case(30, False)))
    for step in STEPS:
        main(["--step", step, "--url", url, "--table", str(table)])
        assert "megabytes" in capsys.readouterr().out
    with open_store(url) as store:
        assert store.info().trials == 30


def test_a_process_of_its_own_is_timed_and_weighed(tmp_path: Path):
    url, table = f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "trials.parquet"
    write_table(table, batches(Case(30, True)))
    took = _run("import", url, table)
    assert 0.05 < took.seconds < 60
    assert 20 < took.megabytes < 2_000
    with open_store(url) as store:
        assert store.info().trials == 30


def test_a_case_is_one_line_below_its_heads(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def run(step: str, url: str, table: Path) -> Step:
        Path(url.removeprefix("sqlite:///")).touch()
        return Step(seconds=1.25, megabytes=99.0)

    monkeypatch.setattr("metadata_store.benchmark._run", run)
    monkeypatch.setattr("metadata_store.benchmark.TARGET_ROWS", 13)
    main(["--rows", "12", "13"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["trials", "architectures"]
    assert [line.split()[0] for line in lines] == ["12", "12", "13", "13"]
    assert [">" in line for line in lines] == [False, False, True, True]
    assert "1.25 > 0.5!" in lines[2]
