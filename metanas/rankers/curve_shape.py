"""The prefix of a learning curve in a few numbers."""

from __future__ import annotations

import numpy as np

from metanas.rankers.curve_table import Floats

LAGS = (1, 2, 4, 8, 16)

NUMBERS = 17
"""The first is the last value, the last but one the first value, the last log(length)."""


def shape_numbers(curves: Floats) -> Floats:
    """Numbers of every prefix, shape (n, positions, NUMBERS).

    Entry [i, p] depends on curve i's first p + 1 points only. All but the last two and
    the first are differences.
    """
    n, positions = curves.shape
    place = np.arange(positions)
    count = place + 1.0
    first = np.repeat(curves[:, :1], positions, axis=1)
    second = curves[:, np.minimum(place, 1)]
    step = np.diff(curves, axis=1, prepend=curves[:, :1])
    before = np.concatenate([np.zeros((n, 1)), step[:, :-1]], axis=1)
    half, quarter = place // 2, place // 4
    columns = [
        curves,
        np.maximum.accumulate(curves, axis=1) - curves,
        curves - first,
        curves - second,
        *(curves - curves[:, np.maximum(place - lag, 0)] for lag in LAGS),
        curves - np.cumsum(curves, axis=1) / count,
        second - first,
        curves - curves[:, half],
        curves[:, half] - curves[:, quarter],
        np.sqrt(np.cumsum(np.minimum(step, 0.0) ** 2, axis=1) / count),
        step - before,
        first,
        np.repeat(np.log(count)[None], n, axis=0),
    ]
    return np.stack(columns, axis=2)
