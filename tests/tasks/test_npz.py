from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.load import prepare
from tests.contracts.loader import LoaderContract

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3


def save(path: Path, **arrays: NDArray[Any]) -> str:
    np.savez(path, **arrays)
    return str(path)


class TestNpz(LoaderContract):
    @pytest.fixture
    def kind(self) -> str:
        return "npz"

    @pytest.fixture
    def data(self, tmp_path: Path) -> str:
        return save(tmp_path / "d.npz", x=IMAGES, y=LABELS)


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        ("x", "y"),
        ("images", "labels"),
        ("X", "Y"),
        ("data", "target"),
        ("x_train", "y_train"),
        ("train_images", "train_labels"),
        ("trainX", "trainY"),
        ("X_Train", "Y_Train"),
    ],
)
def test_usual_names_are_understood(tmp_path: Path, pixels: str, labels: str) -> None:
    data = prepare("npz", save(tmp_path / "d.npz", **{pixels: IMAGES, labels: LABELS}))
    assert data.n_samples == 60


def test_other_names_are_listed(tmp_path: Path) -> None:
    path = save(tmp_path / "d.npz", weights=IMAGES, labels=LABELS)
    with pytest.raises(ValueError, match=r"need arrays such as x and y.*got labels, weights"):
        prepare("npz", path)


def test_parts_are_kept_apart(tmp_path: Path) -> None:
    arrays = {
        "train_images": IMAGES,
        "train_labels": LABELS[:, None],
        "val_images": IMAGES[:9],
        "val_labels": LABELS[:9, None],
        "test_images": IMAGES[:12],
        "test_labels": LABELS[:12, None],
    }
    data = prepare("npz", save(tmp_path / "d.npz", **arrays))
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (60, 9, 12)


@pytest.mark.parametrize("named", ["class_names", "names", "labelNames", "target_name"])
def test_class_names_are_used(tmp_path: Path, named: str) -> None:
    names = {named: np.array(["ant", "bee", "cow"])}
    data = prepare("npz", save(tmp_path / "d.npz", x=IMAGES, y=LABELS, **names))
    assert data.classes == ("ant", "bee", "cow")


@pytest.mark.parametrize(
    "named", ["file_names", "sample_names", "feature_names", "class_file_names", "test_names"]
)
def test_names_of_other_things_are_no_class_names(tmp_path: Path, named: str) -> None:
    others = {named: np.array([f"{number}.png" for number in range(60)])}
    arrays = {"x": IMAGES, "y": LABELS, **others}
    assert prepare("npz", save(tmp_path / "a.npz", **arrays)).classes == ("0", "1", "2")
    arrays["class_names"] = np.array(["ant", "bee", "cow"])
    assert prepare("npz", save(tmp_path / "b.npz", **arrays)).classes == ("ant", "bee", "cow")


def test_a_single_class_name_is_too_few(tmp_path: Path) -> None:
    path = save(tmp_path / "d.npz", x=IMAGES, y=LABELS, class_names=np.array("ant"))
    with pytest.raises(ValueError, match=r"positions in the 1 class names.*d\.npz"):
        prepare("npz", path)


@pytest.mark.parametrize(
    "arrays",
    [{"x": IMAGES, "y": np.array(1)}, {"x": IMAGES[:, :0], "y": LABELS}],
    ids=["one label", "no pixels"],
)
def test_arrays_that_are_no_images_and_labels_are_named_with_their_file(
    tmp_path: Path, arrays: dict[str, NDArray[Any]]
) -> None:
    with pytest.raises(ValueError, match=r"^need .* in the train part: .*d\.npz$"):
        prepare("npz", save(tmp_path / "d.npz", **arrays))


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}] * 60, dtype=object)
    with pytest.raises(ValueError, match=r"cannot read the \.npz, Object arrays cannot be loaded"):
        prepare("npz", save(tmp_path / "d.npz", x=objects, y=LABELS))


@pytest.mark.parametrize("keep", [0, 10, 2000, -30])
def test_a_damaged_file_is_named(tmp_path: Path, keep: int) -> None:
    path = Path(save(tmp_path / "d.npz", x=IMAGES, y=LABELS))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"cannot read the \.npz"):
        prepare("npz", str(path))


def test_a_plain_array_is_no_npz(tmp_path: Path) -> None:
    with (tmp_path / "d.npz").open("wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(ValueError, match="one array without a name"):
        prepare("npz", str(tmp_path / "d.npz"))


def test_two_names_for_the_same_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'images' and 'x' both name the same array"):
        prepare("npz", save(tmp_path / "d.npz", x=IMAGES, images=IMAGES, y=LABELS))


def test_parts_of_other_types_than_numbers_are_refused(tmp_path: Path) -> None:
    parts = {"train_images": IMAGES, "train_labels": LABELS}
    dates = np.zeros(IMAGES.shape, "datetime64[s]")
    path = save(tmp_path / "d.npz", **parts, val_images=dates, val_labels=LABELS)
    with pytest.raises(ValueError, match="pixels must be numbers, got datetime64"):
        prepare("npz", path)


def test_labels_without_end_are_refused(tmp_path: Path) -> None:
    labels = LABELS.astype(np.float64)
    labels[0] = np.inf
    with pytest.raises(ValueError, match="need labels of shape"):
        prepare("npz", save(tmp_path / "d.npz", x=IMAGES, y=labels))
