"""Networks, trees and ranks that judge runs together.

[Genest] Genest and Zidek. Combining Probability Distributions: A Critique and an Annotated
Bibliography. Statistical Science 1986.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from metanas.rankers.boosted import Habits
from metanas.rankers.curve_table import Floats
from metanas.rankers.margin_net import SLOPE, MarginNet, probability
from metanas.rankers.peers import Peers
from metanas.rankers.runs import Ints
from metanas.rankers.searches import Judged, Searches, own_scale

LOGISTIC = SLOPE / 1.7
"""With this scale, the logistic function is about a normal one of deviation 1."""

PEERS_SAY, PEERS_SAY_OF_FEW = 0.2, 0.9
"""The say of ranks: a rank among the search's own runs says little, but what it says holds for
any task, and is not known to those that learned from curves. Trees that know a few tasks are
often wrong about another, so that with these ranks come before all. Both numbers were chosen by
regret at equal epochs, on LCBench and TaskSet and, for few, on the reference trials."""

SUREST = 1e-6
"""No chance is taken to be nearer to 0 or 1 when it is pooled."""


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
    """Networks that judge together, boosted trees, and ranks among the search's runs.

    Networks and trees see much the same, so their chances are averaged; with what ranks say
    they are pooled in logarithms of odds [Genest], so that one that is sure is heard.

    Args:
        temperature: networks' chances are drawn towards one half where it is above 1.
        margin: by a share of it, any being as likely, a run must beat the best: near ties
            are not worth their epochs.
        trees: the column of forecasts that is asked, see `metanas.rankers.boosted`.
        habits: of forecasts, which the search's finished runs correct.
        peers: what ranks say, of ending above all runs seen by any margin; None for nothing.
        peers_say: their part, in [0, 1].
        reach: by how much a search's best run must be better than all sources' runs for its
            ranks alone to count: how such curves go on, no source tells.
        footing: then added to the logarithm of the ranks' odds, which are small, so that the
            same threshold fits.
        keeps: whether a run keeps what it has reached, so that one ahead has won.
        say: of the networks beside the trees, in [0, 1].
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
        peers_say: float = PEERS_SAY,
        reach: float = math.inf,
        footing: float = 0.0,
        keeps: bool = False,
        say: float = 1.0,
    ) -> None:
        self.members, self.temperature, self.margin = members, temperature, margin
        self.trees, self.habits, self.say = trees, habits, say
        self.peers, self.peers_say = peers, peers_say
        self.reach, self.footing, self.keeps = reach, footing, keeps

    def judge(
        self, searches: Searches, search: Ints, run: Ints, length: Ints
    ) -> tuple[Floats, Floats]:
        """Scores and scales, (members, m)."""
        judged = searches.judge(search, run, length)
        scores, scales = zip(*(member(judged) for member in self.members), strict=True)
        return np.stack(scores), np.stack(scales) * self.temperature

    def chance(self, searches: Searches, search: Ints, run: Ints, length: Ints) -> Floats:
        """To beat the best finished run, (m,)."""
        chance = self._of_all(searches, search, run, length)
        if not self.keeps:
            return chance
        return np.where(searches.leads(search, run, length), 1.0, chance)

    def _of_all(self, searches: Searches, search: Ints, run: Ints, length: Ints) -> Floats:
        """What networks, trees and ranks say together, (m,)."""
        if self.peers is None:
            return self._learned(searches, search, run, length)
        ranked = self.peers.chance(searches, search, run, length)
        if self.peers_say == 1.0:
            return ranked
        learned = self._learned(searches, search, run, length)
        alone = np.minimum(np.maximum(searches.beyond(search), 0.0) / self.reach, 1.0)
        say = self.peers_say + (1.0 - self.peers_say) * alone
        return pooled(learned, ranked, say, alone * self.footing)

    def _learned(self, searches: Searches, search: Ints, run: Ints, length: Ints) -> Floats:
        """What networks and trees say: by how much the best must be beaten is `margin`; (m,)."""
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
        return chance


def pooled(one: Floats, other: Floats, say: Floats, more: Floats) -> Floats:
    """The logarithmic pool of two chances, (n,).

    Args:
        say: of the second, in [0, 1], (n,).
        more: added to the logarithm of the odds, (n,).
    """
    odds = [logit(np.clip(chance, SUREST, 1.0 - SUREST)) for chance in (one, other)]
    return np.asarray(expit((1.0 - say) * odds[0] + say * odds[1] + more))
