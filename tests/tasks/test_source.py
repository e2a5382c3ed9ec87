from __future__ import annotations

import numpy as np
import pytest

from tasks.source import default_size, resize, to_grey


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(24, 60)] * 3, (24, 60)),
        ([(28, 28), (30, 20), (40, 40)], (32, 32)),
        ([(105, 105)] * 3, (64, 64)),
        ([(300, 200), (200, 300), (40, 40)], (64, 64)),
    ],
)
def test_small_images_of_one_size_keep_it(
    sizes: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    assert default_size(np.array(sizes)) == expected


def test_resizing_averages_what_it_drops() -> None:
    board = (np.indices((16, 16)).sum(axis=0) % 2 * 255).astype(np.uint8)[None, None]
    small = resize(board, (4, 4))
    assert small.shape == (1, 1, 4, 4)
    assert np.abs(small.astype(int) - 127).max() <= 8


def test_resizing_to_the_same_size_changes_nothing() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7), dtype=np.uint8)
    assert np.array_equal(resize(images, (5, 7)), images)


def test_grey_weighs_green_most() -> None:
    colours = np.zeros((3, 3, 1, 1), np.uint8)
    colours[range(3), range(3)] = 255
    assert to_grey(colours).ravel().tolist() == [76, 150, 29]


def test_grey_needs_one_or_three_channels() -> None:
    with pytest.raises(ValueError, match="grey needs images of 1 or 3 channels, got 2"):
        to_grey(np.zeros((1, 2, 4, 4), np.uint8))
