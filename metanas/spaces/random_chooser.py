"""A chooser that draws at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


class RandomChooser:
    """Implements `metanas.protocols.Chooser`, every value equally likely.

    Args:
        rng: where the randomness comes from; two choosers with equal ones agree.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        if not choices:
            raise ValueError(f"{name} has no values to choose from")
        return choices[int(self._rng.integers(len(choices)))]

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """An integer in [low, high]; on a log scale each magnitude is equally likely."""
        _check_range(name, low, high, log)
        if log:
            drawn = math.exp(self._rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))
            return min(max(round(drawn), low), high)
        return low + step * int(self._rng.integers((high - low) // step + 1))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""
        _check_range(name, low, high, log)
        if log:
            return min(max(math.exp(self._rng.uniform(math.log(low), math.log(high))), low), high)
        if step is not None:
            return low + step * int(self._rng.integers(math.floor((high - low) / step + 1e-9) + 1))
        return float(self._rng.uniform(low, high))


def _check_range(name: str, low: float, high: float, log: bool) -> None:
    if low > high or (log and low <= 0):
        raise ValueError(
            f"{name} needs low <= high, and low > 0 on a log scale, got [{low}, {high}]"
        )
