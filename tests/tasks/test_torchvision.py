from __future__ import annotations

import hashlib
import inspect
import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from tasks.load import prepare
from tasks.torchvision import SETS, VARIANTS
from tests.contracts.loader import LoaderContract

RNG = np.random.default_rng(0)


def write_mnist(raw: Path, train: int = 60, test: int = 30, classes: int = 10) -> None:
    raw.mkdir(parents=True)
    for part, n in (("train", train), ("t10k", test)):
        images = RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % classes).astype(np.uint8)
        head = struct.pack(">HBB3I", 0, 8, 3, n, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">HBBI", 0, 8, 1, n)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())


class Coloured:
    """A set in the manner of torchvision's, whole and without a list of labels."""

    def __init__(self, root: str, *, download: bool = False) -> None:
        assert download
        (Path(root) / "here").touch()

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        if not 0 <= row < 60:
            raise IndexError(row)
        pixels = np.random.default_rng(row).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        return Image.fromarray(pixels), row % 3


def test_the_readme_names_the_sets() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (listed,) = re.findall(r"^Of torchvision: ([^.]*)\.$", text, re.MULTILINE)
    assert re.split(r",\s", listed) == list(SETS)
    assert f"| {len(SETS)} classification sets of torchvision" in text


class TestTorchvision(LoaderContract):
    @pytest.fixture
    def kind(self) -> str:
        return "torchvision"

    @pytest.fixture
    def data(self, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(datasets, "EuroSAT", Coloured)
        return "EuroSAT"


def test_the_family_of_mnist_is_read(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    data = prepare("torchvision", f"MNIST#root={tmp_path}")
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (50, 10, 30)
    assert data.shape == (1, 28, 28)
    assert data.classes[0] == "0 - zero"


def test_cifar_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    sums = {}
    contents: dict[str, Any] = {"meta": {"label_names": ["plane", "car", "bird"]}}
    for name, n in (("train", 30), ("test", 12)):
        pixels = RNG.integers(0, 256, (n, 3072), dtype=np.uint8)
        contents[name] = {"data": pixels, "labels": [row % 3 for row in range(n)]}
    for name, content in contents.items():
        raw = pickle.dumps(content)
        (base / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw).hexdigest()
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test", sums["test"]]])
    meta = {"filename": "meta", "key": "label_names", "md5": sums["meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    data = prepare("torchvision", f"CIFAR10#root={tmp_path}")
    assert data.test is not None
    assert data.shape == (3, 32, 32)
    assert data.classes == ("plane", "car", "bird")
    assert (len(data.train), len(data.val), len(data.test)) == (24, 6, 12)


def test_a_download_is_kept_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "EuroSAT", Coloured)
    prepare("torchvision", "EuroSAT", cache=tmp_path)
    assert (tmp_path / "torchvision" / "EuroSAT" / "here").exists()


def test_a_failed_download_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(root: str, **keywords: object) -> None:
        (Path(root) / "half").touch()
        raise RuntimeError("no\nnetwork")

    monkeypatch.setattr(datasets, "MNIST", fail)
    with pytest.raises(OSError, match="cannot download or read torchvision's MNIST, no network"):
        prepare("torchvision", "MNIST", cache=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_nothing_reaches_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Chatty(Coloured):
        def __init__(self, root: str, *, download: bool = False) -> None:
            super().__init__(root, download=download)
            print("Files already downloaded")  # noqa: T201

    monkeypatch.setattr(datasets, "EuroSAT", Chatty)
    prepare("torchvision", "EuroSAT")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("CIFAR-10", "no classification set of torchvision is named 'CIFAR-10'; did you mean 'CI"),
        ("CocoDetection", "no classification set of torchvision"),
        ("EMNIST#split=leters", "no split 'leters'; did you mean 'letters'"),
        ("MNIST#split=letters", "MNIST comes in no variants, got split=letters"),
    ],
)
def test_an_unknown_name_gives_the_nearest(data: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare("torchvision", data)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="need an existing folder for root"):
        prepare("torchvision", f"MNIST#root={tmp_path / 'nowhere'}")


@pytest.mark.parametrize("name", SETS)
def test_every_set_takes_the_arguments_it_is_given(name: str) -> None:
    own = {"split": VARIANTS[name][0]} if name in VARIANTS else {}
    for keywords in SETS[name].values():
        arguments = {**keywords, **own}
        inspect.signature(getattr(datasets, name).__init__).bind(
            None, "root", download=True, **arguments
        )
