from __future__ import annotations

import bz2
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metanas.importers import Importer
from metanas.importers.nasbench201 import read_nasbench201
from tests.contracts.importer import ImporterContract, Malice, PickleContract, assert_refused, read

CELLS = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|none~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
)
SEEDS = (777, 888, 999)
SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("ori-test", "x-valid", "x-test"),
    "ImageNet16-120": ("ori-test", "x-valid", "x-test"),
}
EVERY_EPOCH = {"cifar10-valid": "x-valid"}
"""Measured after each epoch of the long schedule; ``ori-test`` is for the others."""


def percent(cell: int, dataset: str, measured: str, seed: int, epoch: int) -> float:
    return 10 + cell + len(dataset) / 10 + len(measured) + (seed - 777) / 111 + epoch / 5


def run(cell: int, dataset: str, seed: int, epochs: int) -> dict[str, Any]:
    """As the benchmark's `ResultsCount` saves itself."""
    measured: dict[str, float] = {}
    for name in SETS[dataset]:
        always = epochs == 12 or EVERY_EPOCH.get(dataset, "ori-test") == name
        for epoch in range(epochs) if always else [epochs - 1]:
            measured[f"{name}@{epoch}"] = percent(cell, dataset, name, seed, epoch)
    train = dict.fromkeys(range(epochs), 50.0)
    return {
        "name": dataset,
        "net_state_dict": None,
        "train_acc1es": train,
        "train_acc5es": None,
        "train_losses": train,
        "train_times": OrderedDict((epoch, 2.0) for epoch in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": CELLS[cell], "class_num": 10},
        "params": 0.344346 if seed == 888 else 0.344,
        "flop": 47.10692 if seed == 888 else 47.0,
        "seed": seed,
        "epochs": epochs,
        "latency": [np.float64(0.0171)],
        "eval_names": list(SETS[dataset]),
        "eval_acc1es": measured,
        "eval_times": dict.fromkeys(measured, 0.5),
        "eval_losses": dict.fromkeys(measured, 1.0),
    }


def results(cell: int, epochs: int, seeds: tuple[int, ...]) -> dict[str, Any]:
    """As the benchmark's `ArchResults` saves itself."""
    return {
        "arch_index": cell,
        "arch_str": CELLS[cell],
        "all_results": {
            (dataset, seed): run(cell, dataset, seed, epochs) for dataset in SETS for seed in seeds
        },
        "dataset_seed": {dataset: list(seeds) for dataset in SETS},
        "clear_net_done": True,
    }


def one_cell(cell: int, short: str, long: str) -> dict[str, Any]:
    seeds = SEEDS[: cell + 1]
    return OrderedDict({short: results(cell, 12, (111, 777)), long: results(cell, 200, seeds)})


def all_cells(short: str, long: str) -> dict[str, Any]:
    return {
        "meta_archs": list(CELLS),
        "total_archs": len(CELLS),
        "arch2infos": {cell: one_cell(cell, short, long) for cell in range(len(CELLS))},
        "evaluated_indexes": set(range(len(CELLS))),
    }


def compressed(content: Any) -> bytes:
    return bz2.compress(pickle.dumps(content, protocol=4))


def saved(content: Any, *, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.fixture(scope="session")
def nats_files() -> dict[str, bytes]:
    files = {"meta": compressed({"meta_archs": list(CELLS), "arch2infos": None})}
    for cell in range(len(CELLS)):
        files[f"{cell:06d}"] = compressed(one_cell(cell, "12", "200"))
    return files


class NasBench201Contract(ImporterContract, PickleContract):
    @pytest.fixture
    def importer(self) -> Importer:
        return read_nasbench201

    def test_cifar10_has_its_validation_accuracy_after_every_epoch(self, location: str) -> None:
        trial = next(
            trial
            for trial in read(read_nasbench201, location)
            if (trial.task, trial.seed) == ("cifar10", 888)
        )
        expected = [percent(1, "cifar10-valid", "x-valid", 888, epoch) for epoch in range(200)]
        assert trial.curve.metric == "val_accuracy"
        assert trial.curve.epochs == tuple(range(1, 201))
        assert trial.curve.values == pytest.approx(np.array(expected) / 100)
        assert trial.architecture.choices == {
            "op_0_1": "nor_conv_3x3",
            "op_0_2": "nor_conv_3x3",
            "op_1_2": "nor_conv_3x3",
            "op_0_3": "skip_connect",
            "op_1_3": "nor_conv_3x3",
            "op_2_3": "nor_conv_3x3",
        }
        test = percent(1, "cifar10-valid", "ori-test", 888, 199) / 100
        assert trial.extras["test_score"] == pytest.approx(test)

    def test_the_others_have_it_after_the_last_epoch(self, location: str) -> None:
        trials = read(read_nasbench201, location)
        for task, dataset in (("cifar100", "cifar100"), ("imagenet16-120", "ImageNet16-120")):
            trial = trials.where(task=task)[0]
            assert trial.curve.epochs == (200,)
            assert trial.score == pytest.approx(percent(0, dataset, "x-valid", 777, 199) / 100)
            test = percent(0, dataset, "x-test", 777, 199) / 100
            assert trial.extras["test_score"] == pytest.approx(test)

    def test_each_seed_is_a_trial_and_costs_are_those_of_seed_888(self, location: str) -> None:
        trials = read(read_nasbench201, location).where(task="cifar100")
        assert trials.seeds.tolist() == [777, 777, 888, 777, 888, 999]
        assert trials.extra("params").tolist() == [344_000] + [344_346] * 5
        assert trials.extra("flops").tolist() == [47_000_000] + [47_106_920] * 5
        assert trials.extra("latency_s") == pytest.approx(0.0171)
        assert trials.seconds.tolist() == [400.0] * 6


class TestFolderOfNatsBench(NasBench201Contract):
    @pytest.fixture
    def location(self, tmp_path: Path, nats_files: dict[str, bytes]) -> str:
        folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
        folder.mkdir()
        for name, content in nats_files.items():
            (folder / f"{name}.pickle.pbz2").write_bytes(content)
        return str(folder)

    @pytest.fixture
    def file(self, location: str) -> Path:
        return Path(location) / "000001.pickle.pbz2"

    @pytest.fixture
    def other_layout(self) -> bytes:
        return compressed({"12": {"accuracy": 3.0}, "200": {"accuracy": 3.0}})

    @pytest.fixture
    def pickled(self, malice: Malice) -> bytes:
        return compressed({"200": {"arch_str": CELLS[0], "all_results": malice}})

    def test_the_short_schedule_is_another_source(self, location: str) -> None:
        trials = read(read_nasbench201, f"{location}#schedule=12")
        assert {trial.source for trial in trials} == {"nasbench201:12-epochs"}
        assert {len(trial.curve) for trial in trials} == {12}
        assert {trial.seed for trial in trials} == {111, 777}

    def test_accuracy_on_the_test_set_is_another_metric_and_source(self, location: str) -> None:
        trials = read(read_nasbench201, f"{location}#curve=test")
        assert {trial.source for trial in trials} == {"nasbench201:test"}
        assert {trial.curve.metric for trial in trials} == {"test_accuracy"}
        assert {len(trial.curve) for trial in trials} == {200}

    @pytest.mark.parametrize(
        "options", ["schedule=13", "curve=train", "epochs=3", "schedule=", "x"]
    )
    def test_other_options_are_refused(self, location: str, options: str) -> None:
        assert_refused(read_nasbench201, f"{location}#{options}", "want")

    def test_a_cell_of_another_space_is_refused(self, location: str, file: Path) -> None:
        cell = one_cell(1, "12", "200")
        cell["200"]["arch_str"] = "|max_pool~0|+|none~0|none~1|+|none~0|none~1|none~2|"
        file.write_bytes(compressed(cell))
        assert_refused(read_nasbench201, location, file.name, "max_pool")

    def test_a_folder_without_cells_is_refused(self, tmp_path: Path) -> None:
        assert_refused(read_nasbench201, str(tmp_path), str(tmp_path), "000000.pickle.pbz2")


class TestPickleOfNatsBench(NasBench201Contract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        file = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
        file.write_bytes(compressed(all_cells("12", "200")))
        return str(file)

    @pytest.fixture
    def other_layout(self) -> bytes:
        return compressed(["meta_archs"])

    @pytest.fixture
    def pickled(self, malice: Malice) -> bytes:
        return compressed({"meta_archs": [], "arch2infos": {0: malice}})


class TestFileOfNasBench201(NasBench201Contract):
    @pytest.fixture(params=["zip file", "older format"])
    def location(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        file = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
        file.write_bytes(saved(all_cells("less", "full"), zipped=request.param == "zip file"))
        return str(file)

    @pytest.fixture
    def other_layout(self) -> bytes:
        return saved({"state_dict": {}, "epoch": 3}, zipped=True)

    @pytest.fixture
    def pickled(self, malice: Malice) -> bytes:
        return saved({"arch2infos": {0: malice}}, zipped=True)


class TestArchiveOfNasBench201(NasBench201Contract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        for cell in range(len(CELLS)):
            content = one_cell(cell, "less", "full")
            (tmp_path / f"{cell:06d}-FULL.pth").write_bytes(saved(content, zipped=False))
        return str(tmp_path)

    @pytest.fixture
    def file(self, location: str) -> Path:
        return Path(location) / "000002-FULL.pth"

    @pytest.fixture
    def other_layout(self) -> bytes:
        return saved({"less": None, "full": None}, zipped=False)

    @pytest.fixture
    def pickled(self, malice: Malice) -> bytes:
        return saved({"less": malice, "full": {}}, zipped=False)


def test_all_layouts_hold_the_same_trials(tmp_path: Path, nats_files: dict[str, bytes]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in nats_files.items():
        (folder / f"{name}.pickle.pbz2").write_bytes(content)
    file = tmp_path / "all.pth"
    file.write_bytes(saved(all_cells("less", "full"), zipped=False))
    assert list(read(read_nasbench201, str(folder))) == list(read(read_nasbench201, str(file)))
