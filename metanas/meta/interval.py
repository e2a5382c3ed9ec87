"""Means over episodes, and shares of images, with their 95 % intervals.

[Wilson] Wilson. Probable Inference, the Law of Succession, and Statistical Inference.
JASA 1927.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

Z = 1.96


@dataclass(frozen=True)
class Mean:
    """A mean and the half-width of its 95 % interval; NaN of a single value."""

    value: float
    ci95: float


def mean_of(values: Tensor) -> Mean:
    """Of independent values, shape (n,).

    Raises:
        ValueError: there are none.
    """
    n = len(values)
    if n == 0:
        raise ValueError("need a value at least, got none")
    half = Z * float(values.double().std()) / math.sqrt(n) if n > 1 else math.nan
    return Mean(float(values.double().mean()), half)


def wilson(share: float, n: int) -> tuple[float, float]:
    """The ends of Wilson's 95 % interval of a share of n; sensible where the share is 1.

    The share lies within, but not in the middle.
    """
    spread = math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low, high = ((share + Z**2 / (2 * n) + sign * Z * spread) / (1 + Z**2 / n) for sign in (-1, 1))
    # Of none or all the end is 0 or 1, which rounding misses.
    return max(0.0, min(low, share)), min(1.0, max(high, share))
