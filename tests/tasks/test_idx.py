from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.idx import is_idx, read
from tasks.load import prepare
from tests.contracts.loader import LoaderContract

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 14, 14), dtype=np.uint8)
LABELS = (np.arange(60) % 3).astype(np.uint8)


def encoded(array: NDArray[Any]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_pair(folder: Path, name: str, n: int = 60, *, zipped: bool = True) -> None:
    folder.mkdir(exist_ok=True)
    for role, array in (("images-idx3", IMAGES[:n]), ("labels-idx1", LABELS[:n])):
        raw = encoded(array)
        path = folder / f"{name}{role}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(raw) if zipped else raw)


class TestIdx(LoaderContract):
    @pytest.fixture
    def kind(self) -> str:
        return "idx"

    @pytest.fixture
    def data(self, tmp_path: Path) -> str:
        write_pair(tmp_path / "letters", "t10k-")
        return str(tmp_path / "letters")


@pytest.mark.parametrize("zipped", [True, False])
def test_training_and_test_pairs_are_parts(tmp_path: Path, zipped: bool) -> None:
    write_pair(tmp_path, "train-", zipped=zipped)
    write_pair(tmp_path, "t10k-", 30, zipped=zipped)
    data = prepare("idx", str(tmp_path), cache=tmp_path / "cache")
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (48, 12, 30)


@pytest.mark.parametrize("role", ["images-idx3", "labels-idx1"])
def test_one_file_gives_itself_and_its_partner(tmp_path: Path, role: str) -> None:
    write_pair(tmp_path, "train-")
    write_pair(tmp_path, "t10k-", 30)
    data = prepare("idx", str(tmp_path / f"t10k-{role}-ubyte.gz"), cache=tmp_path / "cache")
    assert data.n_samples == 30
    assert data.test is None


def test_images_are_what_was_written(tmp_path: Path) -> None:
    write_pair(tmp_path, "")
    data = prepare("idx", str(tmp_path), cache=tmp_path / "cache")
    found = np.concatenate([data.train.images.numpy(), data.val.images.numpy()])[:, 0]
    order = np.lexsort(found.reshape(60, -1).T)
    assert np.array_equal(found[order], IMAGES[np.lexsort(IMAGES.reshape(60, -1).T)])


def test_several_training_sets_need_a_choice(tmp_path: Path) -> None:
    write_pair(tmp_path, "emnist-letters-train-")
    write_pair(tmp_path, "emnist-digits-train-")
    with pytest.raises(ValueError, match="several pairs of files are for train, name one file"):
        prepare("idx", str(tmp_path))


def test_images_without_labels_are_named(tmp_path: Path) -> None:
    write_pair(tmp_path, "train-")
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz has no labels"):
        prepare("idx", str(tmp_path))


def test_a_folder_without_such_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need files named like train-images-idx3-ubyte"):
        prepare("idx", str(tmp_path))


def test_lengths_must_agree(tmp_path: Path) -> None:
    write_pair(tmp_path, "train-")
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(encoded(LABELS[:59])))
    with pytest.raises(ValueError, match="got 60 images and 59 labels"):
        prepare("idx", str(tmp_path))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "need an IDX file, it starts with nothing"),
        (b"\x89PNG....", "need an IDX file, it starts with 89504e47"),
        (encoded(IMAGES)[:9], "the IDX header is cut off after 9 bytes"),
        (encoded(IMAGES)[:-1], "need 11776 bytes for shape .60, 14, 14., got 11775"),
        (encoded(IMAGES) + b"\0", "need 11776 bytes for shape .60, 14, 14., got 11777"),
        (gzip.compress(encoded(IMAGES))[:-20], "the gzip stream is damaged"),
        # Without the time: processes that collect tests must name them alike.
        (gzip.compress(b"", mtime=0), "need an IDX file, it starts with nothing"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "f").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "f")


def test_numbers_are_big_endian(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(struct.pack(">HBBI2i", 0, 0x0C, 1, 2, 1, -2))
    assert read(tmp_path / "f").tolist() == [1, -2]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train-images-idx3-ubyte", True),
        ("t10k-labels-idx1-ubyte.gz", True),
        ("train-images.idx3-ubyte", True),
        ("emnist-letters-train-images-idx3-ubyte.gz", True),
        ("images.png", False),
        ("labels.csv", False),
    ],
)
def test_names_of_the_family_are_known(name: str, expected: bool) -> None:
    assert is_idx(Path(name)) is expected
