from pathlib import Path

import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metadata_store.table import write_table
from metanas.cli.store import FORMATS
from metanas.importers import IMPORTERS
from tests.contracts.command_line import command_line


def test_the_formats_offered_are_those_that_can_be_read() -> None:
    assert tuple(IMPORTERS) == FORMATS


@pytest.mark.parametrize(
    ("metric", "sign", "warned"),
    [("val_loss", 1, True), ("val_loss", -1, False), ("val_accuracy", 1, False)],
)
def test_a_loss_that_was_not_negated_is_noticed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    metric: str,
    sign: int,
    warned: bool,
) -> None:
    trials = [
        Trial(
            "digits",
            Architecture("mine", {"depth": depth}),
            LearningCurve(metric, (1, 2), (sign * 0.9, sign * 0.1 * depth)),
            TrialState.COMPLETED,
            0,
            "tests",
        )
        for depth in range(1, 4)
    ]
    write_table(tmp_path / "trials.parquet", [Trials.of(trials)])
    metanas = command_line(f"sqlite:///{tmp_path / 'store.db'}", capsys)
    assert metanas.ok("store", "import", str(tmp_path / "trials.parquet"))["added"] == 3
    assert ("negate it" in caplog.text) is warned
