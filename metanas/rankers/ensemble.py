"""Networks that judge runs together, and when they keep their doubts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metanas.rankers.curve_table import Floats
from metanas.rankers.margin_net import MarginNet, probability
from metanas.rankers.searches import Ints, Judged, Searches, early_leader, own_scale

DOUBT = 0.5
"""Chance that an early leader has at least."""


@dataclass(frozen=True)
class Member:
    """One network.

    Attributes:
        own_unit: whether it corrects in the unit of the search's own progress rather
            than of the sources' prediction.
        fold: the part of the sources that it has not seen.
    """

    net: MarginNet
    own_unit: bool
    fold: int

    def __call__(self, judged: Judged) -> tuple[Floats, Floats]:
        """Score and scale, (n,)."""
        base = own_scale(judged.numbers) if self.own_unit else (judged.mean, judged.std)
        return self.net(judged.numbers, *base)


class Ensemble:
    """Networks that judge together.

    Args:
        temperature: chances are drawn towards one half where it is above 1.
        patience: points of a run before which it is given the benefit of the doubt.
    """

    def __init__(
        self, members: Sequence[Member], temperature: float = 1.0, patience: int = 1
    ) -> None:
        self.members = members
        self.temperature = temperature
        self.patience = patience

    def judge(
        self, searches: Searches, search: Ints, run: Ints, length: Ints
    ) -> tuple[Floats, Floats]:
        """Scores and scales, (members, m)."""
        return self._scored(searches.judge(search, run, length))

    def chance(self, searches: Searches, search: Ints, run: Ints, length: Ints) -> Floats:
        """To end above the best finished run, (m,)."""
        judged = searches.judge(search, run, length)
        score, scale = self._scored(judged)
        chance = probability(score, scale, searches.best[search], np.zeros(1))
        spared = early_leader(judged.numbers) | (length < self.patience)
        return np.where(spared, np.maximum(chance, DOUBT), chance)

    def _scored(self, judged: Judged) -> tuple[Floats, Floats]:
        scores, scales = zip(*(member(judged) for member in self.members), strict=True)
        return np.stack(scores), np.stack(scales) * self.temperature
