"""Networks that judge runs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metanas.rankers.boosted import Habits
from metanas.rankers.curve_table import Floats
from metanas.rankers.margin_net import SLOPE, MarginNet, probability
from metanas.rankers.peers import Peers
from metanas.rankers.runs import Ints
from metanas.rankers.searches import Judged, Searches, own_scale

LOGISTIC = SLOPE / 1.7
"""With this scale, the logistic function is about a normal one of deviation 1."""

PEERS = 0.75
"""Their say where they are asked: trees that know a few tasks are often wrong about another."""


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
    """Networks that judge together, and boosted trees.

    Args:
        temperature: networks' chances are drawn towards one half where it is above 1.
        margin: by a share of it, any being as likely, a run must beat the best: near ties
            are not worth their epochs.
        trees: the column of forecasts that is asked, see `metanas.rankers.boosted`.
        habits: of forecasts, which the search's finished runs correct.
        peers: asked where there are no networks, and then before all.
        say: of the networks where it comes to chances, in [0, 1]; the rest is the trees'.
    """

    def __init__(
        self,
        members: Sequence[Member],
        temperature: float = 1.0,
        *,
        margin: float = 0.0,
        trees: int = 0,
        habits: Habits | None = None,
        peers: Peers | None = None,
        say: float = 1.0,
    ) -> None:
        self.members, self.temperature, self.margin = members, temperature, margin
        self.trees, self.habits, self.peers, self.say = trees, habits, peers, say

    def judge(
        self, searches: Searches, search: Ints, run: Ints, length: Ints
    ) -> tuple[Floats, Floats]:
        """Scores and scales, (members, m)."""
        judged = searches.judge(search, run, length)
        scores, scales = zip(*(member(judged) for member in self.members), strict=True)
        return np.stack(scores), np.stack(scales) * self.temperature

    def chance(self, searches: Searches, search: Ints, run: Ints, length: Ints) -> Floats:
        """To beat the best finished run, (m,)."""
        best, sure = searches.best[search], np.zeros(1)
        chance = np.zeros(len(search))
        if self.say > 0.0:
            score, scale = self.judge(searches, search, run, length)
            chance += self.say * probability(score, scale, best, sure, margin=self.margin)
        if self.say < 1.0:
            forecast = searches.runs.forecast[run, length - 1]
            end = searches.runs.curves[run, length - 1] + forecast[:, self.trees]
            wide = LOGISTIC * forecast[:, -1]
            if self.habits is not None:
                off, seen = searches.off(search, length, self.trees)
                more, narrower = self.habits.corrected(length, off, seen)
                end, wide = end + more * forecast[:, -1], wide * narrower
            told = probability(end[None], wide[None], best, sure, margin=self.margin)
            chance += (1.0 - self.say) * told
        if self.peers is not None:
            ranked = self.peers.chance(searches, search, run, length)
            chance = (1.0 - PEERS) * chance + PEERS * ranked
        return chance
