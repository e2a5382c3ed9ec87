"""Simulated searches: runs in a random order, each stopped when a policy says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metanas.rankers.curve_table import Floats
from metanas.rankers.margin_net import Lessons
from metanas.rankers.runs import Ints, Prior, Runs
from metanas.rankers.searches import Searches

Policy = Callable[[Searches, Ints, Ints, Ints], NDArray[np.bool_]]
"""Given the searches, and for some of them the run and its length: which runs to stop."""


@dataclass(frozen=True)
class Played:
    """How searches went; shapes (searches, runs) in the order of each search.

    Attributes:
        lengths: positions trained of each run.
        finished: whether it was trained to its end.
    """

    lengths: Ints
    finished: NDArray[np.bool_]


def play(
    runs: Runs,
    priors: Sequence[Prior],
    task: Ints,
    orders: Ints,
    policy: Policy,
    *,
    most_steps: int | None = None,
) -> Played:
    """Plays searches side by side.

    Args:
        runs: of all tasks. priors: one a task.
        task: of each search, (searches,).
        orders: indices into `runs`, (searches, runs).
        policy: asked after every point but a run's last, once a run has finished.
        most_steps: points after which searches are broken off; those runs that were
            not reached have length 0.
    """
    searches = Searches(runs, priors, task, orders.shape[1])
    count, total = orders.shape
    at = np.zeros(count, np.int64)
    length = np.zeros(count, np.int64)
    lengths = np.zeros(orders.shape, np.int64)
    steps = 0
    while (active := np.flatnonzero(at < total)).size and steps != most_steps:
        steps += 1
        run = orders[active, at[active]]
        searches.observe(active, run, length[active])
        length[active] += 1
        over = length[active] == searches.positions
        asked = ~over & (searches.finished[active] > 0)
        if asked.any():
            over[asked] = policy(searches, active[asked], run[asked], length[active[asked]])
        ended = active[over]
        searches.leave(ended, run[over], length[ended])
        lengths[ended, at[ended]] = length[ended]
        at[ended] += 1
        length[ended] = 0
    return Played(lengths, lengths == searches.positions)


class Wandering:
    """Stops at random and takes notes: the situations a network learns from.

    Each search has its own haste. A run that will be the best so far is mostly spared,
    as a good policy would.

    Args:
        share: of the situations that are noted.
    """

    def __init__(self, searches: int, group: Ints, rng: np.random.Generator, share: float) -> None:
        self._hazard = np.exp(rng.uniform(np.log(0.06), np.log(0.6), searches))
        self._group, self._rng, self._share = group, rng, share
        self._notes: list[tuple[NDArray[Any], ...]] = []

    def __call__(
        self, searches: Searches, search: Ints, run: Ints, length: Ints
    ) -> NDArray[np.bool_]:
        noted = self._rng.random(len(search)) < self._share
        if noted.any():
            judged = searches.judge(search[noted], run[noted], length[noted])
            final = searches.runs.final[run[noted]]
            group = self._group[search[noted]]
            self._notes.append(
                (judged.numbers, judged.mean, judged.std, final, judged.rival, group)
            )
        stop = self._rng.random(len(search)) < self._hazard[search]
        spared = searches.runs.final[run] > searches.best[search]
        return stop & ~(spared & (self._rng.random(len(search)) < 0.97))

    def lessons(self) -> Lessons:
        """What was noted."""
        return Lessons(*(np.concatenate(column) for column in zip(*self._notes, strict=True)))


def prospect(chance: Floats, length: Ints, passed: Floats) -> Floats:
    """The chance to beat the best for each whole run's worth of training that it costs.

    A chance is cheap where a run is nearly over, and dear where all is still to be paid.

    Args:
        chance: (m,). length: in positions, below all of them, (m,).
        passed: the share of a run that is over at each position, (positions,).
    """
    return np.asarray(chance / (1.0 - passed[length - 1]))


class Sparing:
    """Stops below a threshold, but never a search's best runs, whose poorest prospects it notes.

    Args:
        best: of all runs, each search's best ones, (searches, runs).
        passed: see `prospect`.

    Attributes:
        prospects: the poorest of each of them, infinite where not asked, (searches, runs).
    """

    def __init__(
        self,
        chance: Callable[[Searches, Ints, Ints, Ints], Floats],
        delta: float,
        best: NDArray[np.bool_],
        passed: Floats,
    ) -> None:
        self._chance, self._delta, self._best, self._passed = chance, delta, best, passed
        self.prospects = np.full(best.shape, np.inf)

    @property
    def poorest(self) -> Floats:
        """The threshold at which a search would lose all of its best runs, (searches,)."""
        return np.asarray(np.where(self._best, self.prospects, 0.0).max(axis=1))

    def __call__(
        self, searches: Searches, search: Ints, run: Ints, length: Ints
    ) -> NDArray[np.bool_]:
        chance = self._chance(searches, search, run, length)
        found = prospect(chance, length, self._passed)
        spared = self._best[search, run]
        rows, runs = search[spared], run[spared]
        self.prospects[rows, runs] = np.minimum(self.prospects[rows, runs], found[spared])
        return np.asarray((found <= self._delta) & ~spared)


class Below:
    """Stops where the prospect of beating the best is at most a threshold, one a search."""

    def __init__(
        self,
        chance: Callable[[Searches, Ints, Ints, Ints], Floats],
        delta: Floats,
        passed: Floats,
    ) -> None:
        self._chance, self._delta, self._passed = chance, delta, passed

    def __call__(
        self, searches: Searches, search: Ints, run: Ints, length: Ints
    ) -> NDArray[np.bool_]:
        chance = self._chance(searches, search, run, length)
        return np.asarray(prospect(chance, length, self._passed) <= self._delta[search])
