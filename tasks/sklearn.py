"""The images that scikit-learn ships."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.options import Options, nearest
from tasks.source import ArraySource, Loader


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """1,797 handwritten digits of 8x8 pixels in 17 shades, scaled to 0..255."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    images = np.rint(found.images * (255.0 / 16.0)).astype(np.uint8)[:, None]
    return images, found.target.astype(np.int64), tuple(str(name) for name in found.target_names)


SETS: dict[str, Callable[[], tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]]] = {
    "digits": digits
}


def open_sklearn(location: str, options: Options, cache: Path) -> ArraySource:
    """The set of that name.

    Raises:
        ValueError: there is none.
    """
    if location not in SETS:
        raise ValueError(f"scikit-learn ships no images {location!r}{nearest(location, SETS)}")
    images, labels, classes = SETS[location]()
    return ArraySource(classes, {"train": labels}, {"train": images})


def stamp(location: str, options: Options) -> str:
    """The sets never change."""
    return ""


LOADER = Loader(open_sklearn, stamp, is_path=False)
