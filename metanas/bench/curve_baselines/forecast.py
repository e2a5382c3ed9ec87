"""Stopping by a forecast of the final value that does not depend on the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from metanas.bench.curve_baselines.target import Floats, Ints, Setting

Rule = Callable[[int, int], NDArray[np.bool_]]
"""Given a run and the best finished one: after which positions but the last to stop, (p - 1,)."""

DELTAS = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003, 0.001)
USUAL = 0.05
"""The threshold of Domhan et al. (2015)."""


def searched(rule: Rule, final: Floats, positions: int, orders: Ints) -> Ints:
    """Lengths of all runs, (searches, n); the first run of each search is trained whole."""
    lengths = np.full(orders.shape, positions, np.int64)
    for row, order in enumerate(orders):
        best = int(order[0])
        for run in order[1:]:
            stops = np.flatnonzero(rule(int(run), best))
            if len(stops):
                lengths[row, run] = stops[0] + 1
            elif final[run] > final[best]:
                best = int(run)
    return lengths


def by_chance(
    mean: Floats,
    std: Floats,
    final: Floats,
    orders: Ints,
    *,
    rival: Floats | None = None,
    deltas: Sequence[float] = DELTAS,
) -> list[Setting]:
    """Stops where the chance to beat the best is at most a threshold.

    Args:
        mean, std: of the final value after each point, (n, positions).
        rival: what a finished run is compared by, (n,); by default its final value.
    """
    against = final if rival is None else rival
    settings = []
    for delta in deltas:
        # The chance is at most delta where the best lies so many deviations above the mean.
        bound = mean[:, :-1] + norm.isf(delta) * std[:, :-1]

        def rule(run: int, best: int, bound: Floats = bound) -> NDArray[np.bool_]:
            return np.asarray(bound[run] <= against[best])

        lengths = searched(rule, final, mean.shape[1], orders)
        settings.append(Setting(delta, lengths, delta == USUAL))
    return settings
