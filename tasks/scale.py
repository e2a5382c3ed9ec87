"""Pixels of any range as bytes, by one rule for arrays and for image files.

Which range is meant shows only in the extremes of a whole set: a dark image alone may be
all zeros. Where no range is surely meant, the pixels are refused: bytes that all came out
alike would train networks on nothing, those of half the grey levels on less than there is,
and nobody be told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SLACK = 1e-3
"""So far beyond its bounds reals still are of a range: what rounding and resizing leave, less
than a grey level."""

UNSURE = 2.0
"""Reals up to here that are not up to 1 may be of [0, 1] or of [0, 255]."""

UNSURE_BELOW = -0.5
"""Reals that are negative, but not below this, and up to 1 may be of [-1, 1], of [0, 1] with
what a filter left below it, or of [-0.5, 0.5]."""


@dataclass(frozen=True)
class Scale:
    """What to add to pixels, and then multiply by, to get 0..255."""

    shift: float
    factor: float

    def bytes_of(self, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """The same shape; what lies beyond is clipped."""
        scaled = np.rint((pixels.astype(np.float32) + self.shift) * self.factor)
        return np.asarray(scaled.clip(0, 255), np.uint8)


def scale_of(low: float, high: float, *, whole: bool, where: str) -> Scale:
    """The scale of pixels from `low` to `high`.

    Args:
        whole: whether they are whole numbers, which may also lie in [0, 65535]; else reals.
        where: named in errors.

    Raises:
        ValueError: they are of no range, or may be of two.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"pixels must be finite, found {low} to {high}: {where}")
    ranges = [
        (0.0, 1.0, Scale(0.0, 255.0)),  # reals in [0, 1], or black and white as 0 and 1
        (-1.0, 1.0, Scale(1.0, 127.5)),
        (0.0, 255.0, Scale(0.0, 1.0)),
    ]
    if whole:
        ranges.append((0.0, 65535.0, Scale(0.0, 255.0 / 65535.0)))
    elif low >= -SLACK and 1.0 + SLACK < high <= UNSURE:
        raise ValueError(
            f"pixels up to {high:g} may be meant for [0, 1] or for [0, 255], "
            f"clip or scale them: {where}"
        )
    elif UNSURE_BELOW - SLACK <= low < -SLACK and high <= 1.0 + SLACK:
        raise ValueError(
            f"pixels from {low:g} to {high:g} may be meant for [0, 1] or for [-1, 1], "
            f"clip or scale them: {where}"
        )
    for least, most, scale in ranges:
        if least - SLACK <= low and high <= most + SLACK:
            return scale
    raise ValueError(
        f"pixels must lie in [0, 1], [-1, 1] or [0, 255] (whole numbers: or [0, 65535]), "
        f"found {low:g} to {high:g}: {where}"
    )
