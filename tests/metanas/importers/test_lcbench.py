from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanas.importers import Importer, lcbench
from metanas.importers.lcbench import CHOICES, read_lcbench
from tests.contracts.importer import ImporterContract, assert_refused, read

SURROGATE = Path(__file__).parents[4] / "shared/data/lcbench_surrogate_24tasks.parquet"


def configuration(number: int, task_id: int | None) -> dict[str, Any]:
    percents = [10.0] + [50.0 + number + epoch / 10 for epoch in range(1, 51)] + [99.0]
    results = {"final_test_accuracy": 61.5, "model_parameters": 4321.0, "seed": 7}
    return {
        "config": {
            "batch_size": 71,
            "imputation_strategy": "mean",
            "learning_rate": 0.001 * (number + 1),
            "max_dropout": 0.25,
            "max_units": 128,
            "mlp_shape": "funnel",
            "momentum": 0.5,
            "num_layers": 3,
            "weight_decay": 1,
        },
        "log": {
            "Train/loss": [math.inf] * 52,
            "Train/val_accuracy": percents,
            "time": [3.0 + 2.0 * epoch for epoch in range(52)],
            "epoch": list(range(52)),
        },
        "results": results if task_id is None else {**results, "OpenML_task_id": task_id},
    }


def benchmark() -> dict[str, Any]:
    return {
        'higgs \u00e9 "quoted"': {str(n): configuration(n, None) for n in range(3)},
        "adult": {str(n): configuration(n, 126025) for n in range(2)},
    }


class TestLcbench(ImporterContract):
    @pytest.fixture
    def importer(self) -> Importer:
        return read_lcbench

    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        file = tmp_path / "data_2k_lw.json"
        file.write_text(json.dumps(benchmark(), ensure_ascii=False), encoding="utf-8")
        return str(file)

    @pytest.fixture
    def other_layout(self) -> bytes:
        return b'{"adult": {"0": {"config": {"batch_size": 3}, "curve": [0.5]}}}'

    def test_the_curve_leaves_out_what_was_measured_before_and_after_training(
        self, location: str
    ) -> None:
        trial = read(read_lcbench, location)[0]
        assert trial.curve.epochs == tuple(range(1, 51))
        assert trial.curve.values[0] == pytest.approx(0.501)
        assert trial.curve.values[-1] == trial.score == pytest.approx(0.55)

    def test_the_rest_of_a_trial_comes_from_config_and_results(self, location: str) -> None:
        trials = read(read_lcbench, location)
        assert [trial.task for trial in trials] == ['higgs é "quoted"'] * 3 + ["openml_126025"] * 2
        last = trials[-1]
        assert last.architecture.space == "lcbench_mlp"
        assert last.architecture.choices == {
            "batch_size": 71,
            "learning_rate": 0.002,
            "max_dropout": 0.25,
            "max_units": 128,
            "momentum": 0.5,
            "num_layers": 3,
            "weight_decay": 1.0,
        }
        assert last.extras == {"test_score": 0.615, "params": 4321}
        assert (last.seed, last.seconds, last.source) == (7, 100.0, "lcbench")

    @pytest.mark.parametrize(
        "text",
        ["[]", "{}", '{"adult": {}}', '{"adult": 3}', "{} {}", '{"adult": [1]}', "{3: 4}", "nul"],
    )
    def test_other_json_is_refused(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "other.json"
        file.write_text(text)
        assert_refused(read_lcbench, str(file), "other.json")

    def test_what_follows_the_benchmark_is_refused(self, location: str) -> None:
        with Path(location).open("a") as file:
            file.write(' {"more": 1}')
        assert_refused(read_lcbench, location, "after it")

    def test_json_nested_without_end_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "deep.json"
        file.write_text('{"adult": {"0": ' + "[" * 100_000)
        assert_refused(read_lcbench, str(file), "deep.json")

    def test_a_number_without_end_is_refused(self, tmp_path: Path) -> None:
        broken = configuration(0, None)
        broken["config"]["batch_size"] = math.inf
        file = tmp_path / "endless.json"
        file.write_text(json.dumps({"adult": {"0": broken}}))
        assert_refused(read_lcbench, str(file), "endless.json", "adult 0")

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        assert_refused(read_lcbench, str(tmp_path), str(tmp_path))

    @settings(
        max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(block=st.integers(50, 4000))
    def test_rows_do_not_depend_on_how_the_file_is_cut_into_blocks(
        self, location: str, block: int
    ) -> None:
        whole = list(read(read_lcbench, location))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lcbench, "BLOCK", block)
            assert list(read(read_lcbench, location)) == whole

    @settings(
        max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(data=st.data())
    def test_a_file_cut_anywhere_is_an_error(
        self, location: str, tmp_path: Path, data: st.DataObject
    ) -> None:
        whole = Path(location).read_bytes()
        cut = tmp_path / "cut.json"
        cut.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        assert_refused(read_lcbench, str(cut), "cut.json")

    def test_a_configuration_larger_than_allowed_is_refused(
        self, location: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lcbench, "BLOCK", 64)
        monkeypatch.setattr(lcbench, "LARGEST", 256)
        assert_refused(read_lcbench, location)


@pytest.mark.skipif(not SURROGATE.exists(), reason="the surrogate's table is not here")
def test_the_choices_are_those_of_the_surrogate_table() -> None:
    with pq.ParquetFile(SURROGATE) as file:
        first = next(file.iter_batches(1, columns=["architecture", "space"])).to_pylist()[0]
    assert set(json.loads(first["architecture"])) == set(CHOICES)
    assert first["space"] == lcbench.SPACE
