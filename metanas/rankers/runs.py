"""Runs as searches see them, and what a search expects of them before it begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from metanas.rankers.curve_shape import shape_numbers
from metanas.rankers.curve_table import Floats
from metanas.rankers.surfaces import whitened

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Runs:
    """Runs as searches see them; n of them, k factors.

    Attributes:
        surface: the prior's directions along each run, (n, positions, k).
        rows, values: the same and the curve with deviations made independent;
            (n, positions, k) and (n, positions).
        ahead, carried: the final value is ``ahead @ place + carried`` plus noise after so
            many positions; (n, positions + 1, k) and (n, positions + 1).
        curves: (n, positions). shapes: (n, positions, numbers). codes: (n, numbers).
        final: (n,).
        forecast: by `metanas.rankers.boosted`, (n, positions, columns) or (n, positions, 0).
    """

    surface: Floats
    rows: Floats
    values: Floats
    ahead: Floats
    carried: Floats
    curves: Floats
    shapes: Floats
    codes: Floats
    final: Floats
    forecast: Floats

    @classmethod
    def of(
        cls,
        surface: Floats,
        curves: Floats,
        codes: Floats,
        final: Floats,
        factor: Floats,
        *,
        forecasts: int = 0,
    ) -> Runs:
        """Of whole curves, or of prefixes whose later points are anything finite.

        Args:
            forecasts: columns left for what is forecast of each prefix.
        """
        rows = whitened(factor, surface)
        values = whitened(factor, curves[:, :, None])[:, :, 0]
        last = factor[-1]
        first = surface[:, -1][:, None]
        ahead = np.concatenate(
            [first, first - np.cumsum(last[None, :, None] * rows, axis=1)], axis=1
        )
        carried = np.concatenate(
            [np.zeros((len(curves), 1)), np.cumsum(last * values, axis=1)], axis=1
        )
        shapes = shape_numbers(curves)
        none = np.zeros((*curves.shape, forecasts))
        return cls(surface, rows, values, ahead, carried, curves, shapes, codes, final, none)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Runs:
        """All runs, in order."""
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            }
        )

    def __len__(self) -> int:
        return len(self.curves)

    def padded(self, rows: int) -> Runs:
        """With room for so many runs more."""
        padded = {}
        for field in fields(self):
            array = getattr(self, field.name)
            padded[field.name] = np.pad(array, ((0, rows), *((0, 0),) * (array.ndim - 1)))
        return Runs(**padded)

    def write(self, row: int, run: Runs) -> None:
        """Puts a single run in its place."""
        for field in fields(self):
            getattr(self, field.name)[row] = getattr(run, field.name)[0]


def bounded(error: Floats, deviation: Floats) -> Floats:
    """Errors in deviations, none of which counts for too much; shapes that broadcast."""
    return np.asarray(np.clip(error / np.maximum(deviation, 1e-12), -6.0, 6.0))


@dataclass(frozen=True)
class Prior:
    """What a search expects before it begins.

    Attributes:
        mean, cov: of the place along the directions, (k,) and (k, k).
        anchors: directions at the end of some architectures' curves, (m, k).
        factor: of runs' deviations, (positions, positions).
        top: what the best run came to of those that this was learned from.
    """

    mean: Floats
    cov: Floats
    anchors: Floats
    factor: Floats
    top: float = math.inf

    @property
    def tail(self) -> Floats:
        """Variance of the final value given so many positions of a run; (positions + 1,)."""
        squares = self.factor[-1] ** 2
        return np.concatenate([np.cumsum(squares[::-1])[::-1], [0.0]])
