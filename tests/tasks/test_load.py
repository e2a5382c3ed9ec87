from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tasks
from metadata_store.records import Task
from tasks.load import LOADERS, Split, load, prepare

TASK = Task("stripes", "synthetic", "gratings#n=60&ways=3", 60, 3, (1, 16, 16), None, {})


def test_a_task_is_loaded(tmp_path: Path) -> None:
    data = load(TASK, cache=tmp_path)
    assert (data.n_samples, data.shape, len(data.classes)) == (60, (1, 16, 16), 3)


def test_every_kind_is_a_module() -> None:
    folder = Path(tasks.__file__).parent
    assert all((folder / f"{kind}.py").is_file() for kind in LOADERS)


def test_the_kind_may_stand_before_the_data(tmp_path: Path) -> None:
    task = replace(TASK, data=f"synthetic:{TASK.data}")
    assert load(task, cache=tmp_path).n_samples == 60


def test_a_task_known_by_its_trials_has_no_images() -> None:
    with pytest.raises(ValueError, match="task 'iris' is known only by its trials"):
        load(Task.table("iris"))


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown kind of data 'syntetic'; did you mean 'synth"):
        load(replace(TASK, kind="syntetic"))


def test_data_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"registered with 3 classes of shape \(1, 8, 8\)"):
        load(replace(TASK, input_shape=(1, 8, 8)), cache=tmp_path)


def test_data_that_grew_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load(replace(TASK, n_samples=50), cache=tmp_path)
    assert "registered with 50 images" in caplog.text


def test_labels_stay_with_their_images(tmp_path: Path) -> None:
    images = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None] + 100, 4, 1).repeat(4, 2)
    np.savez(tmp_path / "d.npz", x=images, y=np.arange(40) % 4)
    data = prepare("npz", f"{tmp_path / 'd.npz'}#limit=30&classes=1,2,3")
    for part in (data.train, data.val):
        marks = part.images[:, 0, 0, 0].long() - 100
        assert torch.equal(marks % 4, part.labels + 1)
    seen = torch.cat([data.train.images, data.val.images])[:, 0, 0, 0]
    assert len(seen.unique()) == 30


def test_the_share_kept_for_validation_can_be_chosen(tmp_path: Path) -> None:
    half = prepare("synthetic", "blobs#n=200&val=0.5", cache=tmp_path)
    assert len(half.train) == len(half.val) == 100


def test_noise_replaces_labels_of_training_only(tmp_path: Path) -> None:
    clean = prepare("synthetic", "blobs#n=200", cache=tmp_path)
    noisy = prepare("synthetic", "blobs#n=200&noise=0.25", cache=tmp_path)
    assert torch.equal(clean.train.images, noisy.train.images)
    assert int((clean.train.labels != noisy.train.labels).sum()) == round(0.25 * len(clean.train))
    assert torch.equal(clean.val.labels, noisy.val.labels)
    assert set(noisy.train.labels.tolist()) == {0, 1, 2, 3}


def test_a_limit_keeps_the_imbalance(tmp_path: Path) -> None:
    data = prepare("synthetic", "blobs#n=400&ways=3&imbalance=0.5&limit=100", cache=tmp_path)
    counts = torch.cat([data.train.labels, data.val.labels]).bincount()
    assert counts.tolist() == [57, 29, 14]


def test_a_limit_below_two_of_each_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a limit of 10 images leaves classes empty, need at lea"):
        prepare("synthetic", "blobs#n=200&ways=20&limit=10", cache=tmp_path)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("0,9", "no class '9' among the 4"),
        ("0,-1", "no class '-1'"),
        ("1,1", "a class is named twice in 1,1"),
    ],
)
def test_wrong_classes_are_named(tmp_path: Path, classes: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare("synthetic", f"blobs#classes={classes}", cache=tmp_path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2)),
    ],
)
def test_a_split_checks_its_tensors(images: torch.Tensor, labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"images are uint8|need one int64 label"):
        Split(images, labels)


@pytest.mark.slow
def test_loading_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, tasks.register, tasks.similarity; "
        "heavy = {'optuna', 'mlflow', 'sqlalchemy', 'learn2learn', 'torchvision', 'sklearn'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
