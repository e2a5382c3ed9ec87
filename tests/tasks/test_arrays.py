from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.arrays import source_of

LABELS = np.array([0, 1, 0, 1])


def source_images(images: NDArray[Any]) -> NDArray[np.uint8]:
    return source_of({"train": (images, LABELS)}, "here").images["train"]


def ramp(shape: tuple[int, ...], dtype: str = "u1", most: float = 255) -> NDArray[Any]:
    return np.linspace(0, most, int(np.prod(shape))).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 8, 9), (4, 1, 8, 9)),
        ((4, 8, 9, 3), (4, 3, 8, 9)),
        ((4, 8, 9, 1), (4, 1, 8, 9)),
        ((4, 3, 8, 9), (4, 3, 8, 9)),
        ((4, 64), (4, 1, 8, 8)),
        ((4, 192), (4, 3, 8, 8)),
    ],
)
def test_every_layout_becomes_channels_first(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert source_images(ramp(shape)).shape == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 3, 16, 4), (4, 3, 16, 4)),
        ((4, 3, 4, 2), (4, 3, 4, 2)),
        ((4, 4, 4, 3), (4, 3, 4, 4)),
        ((4, 4, 16, 3), (4, 3, 4, 16)),
        ((4, 16, 4, 4), (4, 4, 16, 4)),
        ((4, 1, 16, 4), (4, 1, 16, 4)),
        ((4, 4, 4, 1), (4, 1, 4, 4)),
    ],
)
def test_of_sides_as_short_as_channels_three_are_colours(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert source_images(ramp(shape)).shape == expected


@pytest.mark.parametrize("shape", [(4, 3, 16, 3), (4, 4, 16, 4), (4, 2, 16, 4), (4, 4, 4, 4)])
def test_layouts_that_may_be_either_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"may be \(n, h, w, c\) or \(n, c, h, w\), pad both"):
        source_images(ramp(shape))


def test_channels_last_are_moved_not_reshaped() -> None:
    images = ramp((4, 5, 6, 3))
    assert np.array_equal(source_images(images), images.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("u1", 0, 255),
        ("i8", 0, 255),
        ("u2", 0, 65535),
        ("u1", 0, 1),
        ("?", 0, 1),
        ("f4", 0, 1),
        ("f4", -1, 1),
        ("f8", 0, 255),
    ],
)
def test_every_scale_becomes_bytes(dtype: str, low: float, high: float) -> None:
    images = np.full((4, 8, 8), low, dtype)
    images[:, 0] = high
    found = source_images(images)
    assert (int(found.min()), int(found.max())) == (0, 255)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1.0000001), (-1e-7, 1), (-1.0000001, 1.0005), (-1e-4, 255.0001)]
)
def test_reals_a_little_beyond_a_scale_are_of_it(low: float, high: float) -> None:
    images = np.full((4, 8, 8), low, np.float64)
    images[:, 0], images[:, 1] = high, (round(low) + round(high)) / 2
    found = source_images(images)
    assert np.unique(found).tolist() == [0, 128, 255]


def test_reals_well_below_0_are_from_minus_1() -> None:
    images = ramp((4, 8, 8), "f4", 1.2) - np.float32(0.6)
    found = source_images(images)
    assert (int(found.min()), int(found.max())) == (51, 204)


@pytest.mark.parametrize(
    ("dtype", "high", "other", "most"),
    [
        ("u1", 255, "f4", 1.0),
        ("u1", 255, "?", 1),
        ("u1", 255, "u2", 65535),
        ("f4", 255.0, "u1", 1),
        ("u1", 255, "f4", 255.0),
    ],
)
def test_parts_of_different_kinds_have_each_their_scale(
    dtype: str, high: float, other: str, most: float
) -> None:
    train, val = ramp((4, 8, 8), dtype, high), np.zeros((4, 8, 8), other)
    val[:, 0] = most
    for pair in ((train, val), (val, train)):
        named = {"train": (pair[0], LABELS), "val": (pair[1], LABELS)}
        found = source_of(named, "here").images
        assert [int(found[part].max()) for part in ("train", "val")] == [255, 255]
        assert list(found) == ["train", "val"]


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_parts_of_one_kind_have_one_scale(dtype: str) -> None:
    most = {"u1": 255, "u2": 65535, "f4": 255.0}[dtype]
    train, dark = ramp((4, 8, 8), dtype, most), np.ones((4, 8, 8), dtype)
    found = source_of({"train": (train, LABELS), "val": (dark, LABELS)}, "here").images
    assert int(found["train"].max()) == 255
    assert int(found["val"].max()) <= 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((4, 8, 8), 300.0), "pixels must lie in"),
        (np.full((4, 8, 8), -3), "pixels must lie in"),
        (ramp((4, 8, 8), "f4", 1.1), "pixels up to 1.1 may be meant for"),
        (ramp((4, 8, 8), "f4", 2), "pixels up to 2 may be meant for"),
        (ramp((4, 8, 8), "f4", 1.32) - np.float32(0.15), "pixels must lie in"),
        (ramp((4, 8, 8), "f8", 1.01) - 0.01, r"from -0.01 to 1 may be meant for .0, 1. or for"),
        (ramp((4, 8, 8), "f8", 1) - 0.5, r"from -0.5 to 0.5 may be meant for .0, 1. or for .-1,"),
        (np.full((4, 8, 8), -0.01), "from -0.01 to -0.01 may be meant for"),
        (np.full((4, 8, 8), np.nan), "pixels must be finite"),
        (np.full((4, 8, 8), "a"), "pixels must be numbers"),
        (np.zeros((4, 8, 8, 8)), "need images of shape"),
        (np.zeros((4, 7)), "need images of shape"),
        (np.zeros(4), "need images of shape"),
        (np.zeros((3, 8, 8)), "need one label an image, got 3 images and 4 labels"),
        (np.zeros((0, 8, 8)), "need one label an image"),
        (np.zeros(()), r"need an array of images and one of labels, got images of shape \(\) "),
        (np.zeros((4, 0, 8)), r"need images with pixels, got shape \(4, 0, 8\)"),
        (np.zeros((4, 0)), "need images with pixels"),
    ],
)
def test_wrong_images_are_named(images: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}.*: here"):
        source_images(images)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([5, 9, 5, 9]), ("5", "9")),
        (np.array([[5], [9], [5], [9]], np.uint8), ("5", "9")),
        (np.array(["cat", "dog", "cat", "dog"]), ("cat", "dog")),
        (np.array([b"cat", b"dog", b"cat", b"dog"]), ("cat", "dog")),
        (np.array([1.0, 2.0, 1.0, 2.0]), ("1", "2")),
        (np.eye(2)[LABELS], ("0", "1")),
        (np.array([False, True, False, True]), ("False", "True")),
    ],
)
def test_every_kind_of_label_is_coded(labels: NDArray[Any], classes: tuple[str, ...]) -> None:
    source = source_of({"train": (np.zeros((4, 8, 8)), labels)}, "here")
    assert source.classes == classes
    assert source.labels["train"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "labels", [np.array([0.5, 1, 0, 1]), np.zeros((4, 2)), np.zeros((4, 1, 1))]
)
def test_wrong_labels_are_named(labels: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="need labels of shape"):
        source_of({"train": (np.zeros((4, 8, 8)), labels)}, "here")


def test_a_single_label_is_no_array_of_labels() -> None:
    with pytest.raises(ValueError, match=r"and labels of shape \(\) in the train part: here"):
        source_of({"train": (np.zeros((4, 8, 8)), np.array(1))}, "here")


def test_a_class_without_training_images_is_named() -> None:
    images = np.zeros((4, 8, 8))
    with pytest.raises(ValueError, match="class 7 of the test part has no training images"):
        source_of({"train": (images, LABELS), "test": (images, LABELS * 7)}, "here")


def test_parts_of_different_shapes_are_named() -> None:
    small, large = np.zeros((4, 8, 8)), np.zeros((4, 9, 9))
    with pytest.raises(ValueError, match="images of different shapes"):
        source_of({"train": (small, LABELS), "test": (large, LABELS)}, "here")


def test_names_are_taken_for_positions() -> None:
    images = np.zeros((4, 8, 8))
    named = source_of({"train": (images, LABELS)}, "here", names=["a", "b"])
    assert named.classes == ("a", "b")
    with pytest.raises(ValueError, match="labels must be positions in the 1 class names"):
        source_of({"train": (images, LABELS)}, "here", names=["a"])
