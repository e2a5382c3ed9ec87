"""Means over episodes with their 95 % intervals."""

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


def wilson(share: float, n: int) -> float:
    """Half-width of Wilson's 95 % interval of a share of n; sensible where the share is 1."""
    spread = math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Z * spread / (1 + Z**2 / n)
