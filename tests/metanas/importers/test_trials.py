from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metadata_store.table import write_table
from metanas.importers import Importer
from metanas.importers.trials import read_trials
from tests.contracts.importer import ImporterContract, read

TRIALS = [
    Trial(
        task="t",
        architecture=Architecture("s", {"lr": 0.1 * (seed + 1)}),
        curve=LearningCurve("val_accuracy", (1, 2), (0.25, 0.5)),
        state=TrialState.COMPLETED,
        seed=seed,
        source="x",
        extras={"params": 3},
    )
    for seed in range(5)
]


class TestTrials(ImporterContract):
    @pytest.fixture
    def importer(self) -> Importer:
        return read_trials

    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        write_table(tmp_path / "trials.parquet", [Trials.of(TRIALS)])
        return str(tmp_path / "trials.parquet")

    @pytest.fixture
    def other_layout(self, tmp_path: Path) -> bytes:
        pq.write_table(pa.table({"a": [1]}), tmp_path / "other")
        return (tmp_path / "other").read_bytes()

    def test_what_was_written_comes_back(self, location: str) -> None:
        assert list(read(read_trials, location)) == TRIALS
