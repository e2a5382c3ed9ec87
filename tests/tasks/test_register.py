from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.load import load
from tasks.register import guess_kind, register, relocated


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("ant", "bee", "cow"):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "zoo" / name / f"{number}.png")
    return tmp_path / "zoo"


def test_a_folder_becomes_a_task(folder: Path) -> None:
    task = register("zoo", str(folder))
    assert (task.name, task.kind, task.data) == ("zoo", "image_folder", str(folder))
    assert (task.n_samples, task.n_classes, task.input_shape) == (30, 3, (3, 12, 12))
    assert task.dcn is not None
    assert task.features.keys() >= {"dcn_std", "dcn_above_chance", "imbalance_entropy", "one_nn"}
    assert all(math.isfinite(value) for value in task.features.values())


def test_what_was_registered_can_be_loaded(folder: Path) -> None:
    task = register("zoo", str(folder), size=10, limit=20, classes=["ant", "2"], grey=True, seed=3)
    assert task.data == f"{folder}#classes=ant,2&grey=1&limit=20&seed=3&size=10"
    data = load(task)
    assert data.shape == task.input_shape == (1, 10, 10)
    assert data.n_samples == task.n_samples == 20
    assert data.classes == ("ant", "cow")


def test_registering_again_gives_the_same() -> None:
    data = "synthetic:gratings#n=40&difficulty=0.8"
    assert register("a", data) == register("a", data)


def test_arguments_replace_options_of_the_same_name() -> None:
    task = register("a", "synthetic:gratings#n=40&size=10&seed=2", size=12)
    assert task.data == "gratings#n=40&seed=2&size=12"
    assert task.input_shape == (1, 12, 12)


def test_a_relative_path_is_made_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert register("zoo", "zoo#limit=12").data == f"{folder}#limit=12"


def test_progress_is_told_of_every_stage(folder: Path) -> None:
    told: list[str] = []
    register("zoo", str(folder), progress=lambda done, total, what: told.append(what))
    stages = ["reading images", "measuring features", "training probe networks"]
    assert list(dict.fromkeys(told)) == stages


def test_a_known_task_is_told_where_its_images_lie(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = register("zoo", str(folder), limit=12)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "zoo").symlink_to(folder)
    (tmp_path / "other").symlink_to(folder)
    shipped = replace(task, data="zoo#limit=12")
    monkeypatch.chdir(tmp_path)
    for asked in ("zoo", "links/zoo", "other", "image_folder:zoo", str(folder)):
        assert relocated(shipped, f"{asked}#limit=12") == task
    for asked, kind in (("zoo", None), ("links#limit=12", None), ("zoo#limit=12", "idx")):
        with pytest.raises(ValueError, match="'zoo' is known with image_folder data"):
            relocated(shipped, asked, kind)


def test_a_class_must_be_named_in_utf_8(folder: Path) -> None:
    (folder / "cow").rename(folder / "caf\udce9")
    told: list[str] = []
    with pytest.raises(ValueError, match=r"a class's name must be UTF-8.*'caf\\udce9'"):
        register("zoo", str(folder), progress=lambda done, total, what: told.append(what))
    assert set(told) == {"reading images"}


def test_a_location_must_be_named_in_utf_8(folder: Path) -> None:
    renamed = folder.rename(folder.with_name("zoo\udce9"))
    told: list[str] = []
    with pytest.raises(ValueError, match=r"the data's location must be UTF-8.*zoo\\udce9'"):
        register("zoo", str(renamed), progress=lambda done, total, what: told.append(what))
    assert told == []


DEEP = Path(*["d" * 200] * 13)


def test_a_location_may_be_longer_than_a_name(folder: Path) -> None:
    moved = folder.parent / DEEP / "zoo"
    moved.parent.mkdir(parents=True)
    folder.rename(moved)
    assert register("zoo", str(moved)).data == str(moved)


def test_a_class_may_be_named_longer_than_a_task(folder: Path) -> None:
    (folder / DEEP).parent.mkdir(parents=True)
    (folder / "cow").rename(folder / DEEP)
    task = register("zoo", str(folder))
    assert load(task).classes == ("ant", "bee", str(DEEP))


def test_a_name_that_no_store_can_hold_is_refused_first(folder: Path) -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match="a name has 2,500 bytes at most, got 2,501"):
        register("n" * 2501, str(folder), progress=lambda done, total, what: told.append(what))
    assert told == []


def test_a_task_needs_a_name() -> None:
    with pytest.raises(ValueError, match="a task needs a name"):
        register("", "synthetic:gratings")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("sklearn:digits", "sklearn"),
        ("torchvision:CIFAR10#size=16", "torchvision"),
        ("synthetic:blobs#ways=3", "synthetic"),
        ("zoo", "image_folder"),
        ("zoo#limit=100&depth=1", "image_folder"),
        ("mnist", "idx"),
        ("mnist/train-images-idx3-ubyte.gz#size=20", "idx"),
        ("d.npz#seed=1", "npz"),
        ("d.tar.gz", "image_folder"),
        ("d.zip#within=a", "image_folder"),
    ],
)
def test_the_kind_is_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("zoo", "mnist"):
        Path(name).mkdir()
    for name in ("mnist/train-images-idx3-ubyte.gz", "d.npz", "d.tar.gz", "d.zip"):
        Path(name).touch()
    assert guess_kind(data) == kind


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"need an existing file or folder.*nowhere"):
        guess_kind(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("path", ["", "~no-such-user/x"])
def test_a_path_that_leads_nowhere_is_missing(path: str) -> None:
    with pytest.raises(FileNotFoundError, match=path or "empty"):
        register("zoo", path)


def test_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").touch()
    with pytest.raises(ValueError, match="cannot guess the kind of data, known are image_folder"):
        guess_kind(str(tmp_path / "x.csv"))
