from __future__ import annotations

import importlib.util
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from metadata_store.batch import Trials
from metadata_store.filters import screen
from metanas.importers import Importer
from metanas.importers.nas_bench_graph import EPOCHS, choices_of, read_nas_bench_graph
from tests.contracts.importer import ImporterContract, Malice, PickleContract, assert_refused, read

INSTALLED = importlib.util.find_spec("nas_bench_graph") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="nas-bench-graph is not installed")


def entry(valid: float) -> dict[str, Any]:
    return {
        "valid_perf": valid,
        "perf": valid / 2,
        "latency": 0.004,
        "para": np.float64(1.736711),
    }


def write(folder: Path, task: str, content: Any) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{task}.bench"
    file.write_bytes(pickle.dumps(content, protocol=3))
    return file


class TestNasBenchGraph(ImporterContract, PickleContract):
    @pytest.fixture
    def importer(self) -> Importer:
        return read_nas_bench_graph

    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        keys = [0, 10000, 45678, 88887]
        return str(write(tmp_path / "light", "cora", {key: entry(key / 1e5) for key in keys}))

    @pytest.fixture
    def other_layout(self) -> bytes:
        return pickle.dumps({0: {"accuracy": 0.5}})

    @pytest.fixture
    def pickled(self, malice: Malice) -> bytes:
        return pickle.dumps({0: {**entry(0.5), "para": malice}})

    def test_the_score_is_the_validation_performance_and_test_an_extra(self, location: str) -> None:
        trial = read(read_nas_bench_graph, location)[2]
        assert trial.score == pytest.approx(0.45678)
        assert trial.extras == {"test_score": 0.22839, "latency_s": 0.004, "params": 1736711}
        assert (trial.task, trial.curve.metric, trial.curve.epochs) == (
            "cora",
            "val_accuracy",
            (400,),
        )

    def test_a_folder_is_read_file_by_file(self, tmp_path: Path) -> None:
        for task in ("cora", "proteins"):
            write(tmp_path / "all", task, {12345: entry(0.7)})
        trials = read(read_nas_bench_graph, str(tmp_path / "all"))
        assert [trial.task for trial in trials] == ["cora", "proteins"]
        assert [trial.curve.metric for trial in trials] == ["val_accuracy", "val_roc_auc"]

    @pytest.mark.parametrize("key", [90000, 9, 123456, -1, "x", None, 2**70])
    def test_a_key_that_is_no_architecture_is_refused(self, tmp_path: Path, key: Any) -> None:
        file = write(tmp_path / "odd", "cora", {key: entry(0.5)})
        assert_refused(read_nas_bench_graph, str(file), "cora.bench")

    def test_a_file_of_an_unknown_data_set_is_refused(self, tmp_path: Path) -> None:
        file = write(tmp_path / "odd", "mnist", {0: entry(0.5)})
        assert_refused(read_nas_bench_graph, str(file), "mnist.bench")

    def test_a_folder_without_the_files_is_refused(self, tmp_path: Path) -> None:
        assert_refused(read_nas_bench_graph, str(tmp_path), str(tmp_path), "cora.bench")


def test_a_key_tells_inputs_and_operations_of_the_nodes() -> None:
    assert choices_of(40128) == {
        "in_2": "input",
        "in_3": "node_1",
        "in_4": "node_3",
        "op_1": "gat",
        "op_2": "gcn",
        "op_3": "gin",
        "op_4": "skip",
    }


def test_different_keys_are_different_architectures() -> None:
    keys = [key for key in range(88889) if "9" not in str(key)]
    assert len({tuple(sorted(choices_of(key).items())) for key in keys}) == len(keys) == 9**5


@pytest.fixture(scope="module")
def installed() -> pa.Table:
    return pa.concat_tables(read_nas_bench_graph(""))


@pytest.fixture(scope="module")
def cora(installed: pa.Table) -> Trials:
    trials, rejected = screen(installed.slice(0, 26_206), {})
    assert rejected == {}
    return trials


@needs_package
def test_the_installed_package_has_all_architectures_on_nine_data_sets(installed: pa.Table) -> None:
    counts = Counter(installed["task"].to_pylist())
    assert counts == dict.fromkeys(EPOCHS, 26_206) | {"proteins": 2_021}
    assert len(set(installed["architecture"].to_pylist())) == 26_206


@needs_package
def test_the_installed_package_holds_fractions_and_counts(cora: Trials) -> None:
    assert cora.present("task") == ["cora"]
    assert 0.0 < cora.scores.min() < cora.scores.max() < 1.0
    assert 0.0 < cora.extra("test_score").min() < cora.extra("test_score").max() < 1.0
    assert cora.extra("params").min() > 10_000
    assert cora.extra("latency_s").max() < 1.0


@needs_package
def test_its_keys_are_decoded_as_the_package_encodes_them(cora: Trials) -> None:
    architecture = pytest.importorskip("nas_bench_graph.architecture")
    nodes = ("input", "node_1", "node_2", "node_3")
    for trial in cora[:: len(cora) // 200]:
        choices = trial.architecture.choices
        links = [0] + [nodes.index(str(choices[f"in_{node}"])) for node in (2, 3, 4)]
        ops = [choices[f"op_{node}"] for node in (1, 2, 3, 4)]
        key = architecture.Arch(links, ops).hash_arch()
        assert choices_of(key) == dict(choices)
