"""How a run stands among its peers: the little that holds for any new task.

Curves of a few tasks cannot tell how a new one's will go on, but how much an early rank
says about the last one is much the same from task to task. With normal scores in place of
ranks, a run's score at the end is its score now times their correlation, and chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from metanas.rankers.curve_table import CurveTable, Floats
from metanas.rankers.runs import Ints
from metanas.rankers.searches import Searches

SURE = 0.99
"""A correlation is not taken to be higher: the last point but one decides nothing."""


class Peers:
    """Implements the chance of `metanas.rankers.ensemble.Ensemble` by ranks alone.

    Attributes:
        agreement: correlation of normal scores at each position with those at the end, the
            mean over the sources, (positions,).
    """

    def __init__(self, tables: Sequence[CurveTable]) -> None:
        found = []
        for table in tables:
            final = normal_scores(table.final)
            found.append([_correlation(normal_scores(now), final) for now in table.curves.T])
        self.agreement = np.clip(np.mean(found, axis=0), 0.0, SURE)

    def chance(self, searches: Searches, search: Ints, run: Ints, length: Ints) -> Floats:
        """To end above all runs seen, (m,)."""
        ahead, seen = searches.standing(search, run, length)
        own = ndtri(1.0 - (ahead + 0.5) / (seen + 1.0))
        best = ndtri(1.0 - 0.5 / np.maximum(seen, 1))
        agreement = self.agreement[length - 1]
        left = np.sqrt(1.0 - agreement**2)
        return np.asarray(ndtr((agreement * own - best) / left))


def normal_scores(values: Floats) -> Floats:
    """What a normal sample with these ranks is expected to be, about; (n,)."""
    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))


def _correlation(one: Floats, other: Floats) -> float:
    """0 where all values are the same."""
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
