"""What several searches have seen so far, and what that says of their runs.

A search knows its prior (`metanas.rankers.surfaces`) and the prefixes of runs. Each new
point of a curve is one Kalman step: O(factors²), whatever the length of the search. The
searches of a batch advance together, so that one batch of simulated searches trains the
network, another chooses the threshold, and a real one is a batch of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metanas.rankers.curve_table import Floats
from metanas.rankers.runs import Ints, Prior, Runs, bounded

ROOM = 64
"""Runs by which a single search grows at a time."""

TRUST = 20.0
"""Points that the sources' scale of surprise counts for."""

RELATIVE = 17
"""Numbers that compare a run with the best one and with those seen."""

OWN = 18
"""Numbers of the Gaussian prediction for a run."""


@dataclass(frozen=True)
class Judged:
    """What is known of m runs, each in its own search.

    Attributes:
        numbers: what a network reads, (m, numbers).
        mean, std: Gaussian prediction of the final value, (m,).
        rival: the best finished run, or what stands in for it, (m,).
    """

    numbers: Floats
    mean: Floats
    std: Floats
    rival: Floats


class Searches:
    """A batch of searches over known runs.

    Args:
        runs: which the searches' runs point into.
        priors: of the tasks.
        task: of each search, an index into `priors`, shape (searches,).
        capacity: runs a search can see.

    Attributes:
        place, cov: along the prior's directions, (searches, k) and (searches, k, k).
        best, best_run, finished: the best final value, whose it is, and how many runs
            have finished; -inf, -1 and 0 at first; (searches,).
        hidden: slot of a run that is not to count as seen, -1 for none; (searches,).
    """

    def __init__(self, runs: Runs, priors: Sequence[Prior], task: Ints, capacity: int) -> None:
        self.runs = runs
        count, k = len(task), len(priors[0].mean)
        self._anchors = np.stack([prior.anchors for prior in priors])
        self._tops = np.array([prior.top for prior in priors])
        self._task = task
        self._tail = priors[0].tail
        self.positions = len(self._tail) - 1
        self.place = np.stack([priors[i].mean for i in task])
        self.cov = np.stack([priors[i].cov for i in task])
        self._surprise = np.full(count, TRUST)
        self._points = np.full(count, TRUST)
        self.best = np.full(count, -np.inf)
        self.best_run = np.full(count, -1, np.int64)
        self.finished = np.zeros(count, np.int64)
        self.hidden = np.full(count, -1, np.int64)
        self._seen = np.zeros(count, np.int64)
        self._run = np.zeros((count, capacity), np.int64)
        self._length = np.zeros((count, capacity), np.int64)
        self._ahead = np.zeros((count, capacity, k))
        self._carried = np.zeros((count, capacity))
        self._first = np.zeros((count, capacity))
        self._off = np.zeros((count, self.positions, runs.forecast.shape[2]))

    def observe(self, search: Ints, run: Ints, position: Ints) -> None:
        """Each search sees one more point, the one at `position` from 0; shapes (m,)."""
        row = self.runs.rows[run, position]
        place, cov = self.place[search], self.cov[search]
        spread = np.einsum("mij,mj->mi", cov, row)
        variance = 1.0 + (row * spread).sum(1)
        error = self.runs.values[run, position] - (row * place).sum(1)
        # One odd point must not move everything.
        limit = 4.0 * np.sqrt(variance * self.scale(search))
        step = np.clip(error, -limit, limit) / variance
        self.place[search] = place + spread * step[:, None]
        self.cov[search] = cov - spread[:, :, None] * (spread / variance[:, None])[:, None, :]
        self._surprise[search] += np.minimum(error**2 / variance, 9.0)
        self._points[search] += 1.0

    def leave(self, search: Ints, run: Ints, length: Ints) -> None:
        """Each search's run is over after `length` positions, or stands there; shapes (m,)."""
        self.place_run(search, self._seen[search], run, length)
        self._seen[search] += 1

    def arrive(self) -> int:
        """Of a single search: the slot and row of one run more, with room made for it."""
        slot = int(self._seen[0])
        if slot >= self._run.shape[1]:
            self.grow(slot + ROOM)
        if slot >= len(self.runs):
            self.runs = self.runs.padded(ROOM)
        self._seen[0] += 1
        return slot

    def place_run(self, search: Ints, slot: Ints, run: Ints, length: Ints) -> None:
        """What is kept of a run among those seen; `leave` takes the next free slot."""
        self._run[search, slot] = run
        self._length[search, slot] = length
        self._ahead[search, slot] = self.runs.ahead[run, length]
        self._carried[search, slot] = self.runs.carried[run, length]
        self._first[search, slot] = self.runs.curves[run, 0]
        done = length == self.positions
        over, final = search[done], self.runs.final[run[done]]
        # What a finished run came to is known, not predicted.
        self._ahead[over, slot[done]] = 0.0
        self._carried[over, slot[done]] = final
        self.finished[over] += 1
        if self._off.shape[2]:
            told = self.runs.forecast[run[done]]
            error = final[:, None, None] - self.runs.curves[run[done]][:, :, None] - told
            self._off[over] += bounded(error, told[:, :, -1:])
        better = final > self.best[over]
        self.best[over[better]] = final[better]
        self.best_run[over[better]] = run[done][better]

    def grow(self, capacity: int) -> None:
        """Makes room for runs."""
        more = max(0, capacity - self._run.shape[1])
        wide = ((0, 0), (0, more))
        self._run, self._length = np.pad(self._run, wide), np.pad(self._length, wide)
        self._carried, self._first = np.pad(self._carried, wide), np.pad(self._first, wide)
        self._ahead = np.pad(self._ahead, (*wide, (0, 0)))

    def scale(self, search: Ints) -> Floats:
        """How surprising points are against what the sources led to expect; 1 is as expected."""
        return np.asarray(self._surprise[search] / self._points[search])

    def off(self, search: Ints, length: Ints, column: int) -> tuple[Floats, Ints]:
        """How far forecasts fell short of finished runs after so many points.

        Returns:
            The sum of `bounded` errors, and the number of finished runs; (m,).
        """
        return self._off[search, length - 1, column], self.finished[search]

    def beyond(self, search: Ints) -> Floats:
        """By how much the best run is better than any that the prior knows; (m,)."""
        return np.asarray(self.best[search] - self._tops[self._task[search]])

    def leads(self, search: Ints, run: Ints, length: Ints) -> NDArray[np.bool_]:
        """Whether runs stand higher after so many positions than the best one ended; (m,)."""
        return np.asarray(self.runs.curves[run, length - 1] > self.best[search])

    def standing(self, search: Ints, run: Ints, length: Ints) -> tuple[Ints, Ints]:
        """Runs that stood higher after so many positions, and all that were seen; (m,).

        One that was stopped before counts among those that did not.
        """
        some = self._some(search)
        return self._ahead_now(search, run, length, some)[0], some.sum(1)

    def _some(self, search: Ints) -> NDArray[np.bool_]:
        """Which slots hold runs that count, (m, slots): of all slots those that any has used."""
        seen, hidden = self._seen[search][:, None], self.hidden[search][:, None]
        slots = np.arange(max(seen.max(), 1))
        return np.asarray((slots < seen) & (slots != hidden))

    def _ahead_now(
        self, search: Ints, run: Ints, length: Ints, some: NDArray[np.bool_]
    ) -> tuple[Ints, NDArray[np.bool_]]:
        """How many stood higher after so many positions, (m,); which came so far, (m, slots)."""
        now = self.runs.curves[run, length - 1]
        used = some.shape[1]
        reached = some & (self._length[search, :used] >= length[:, None])
        then = self.runs.curves[self._run[search, :used], (length - 1)[:, None]]
        return (reached & (then > now[:, None])).sum(1), reached

    def predict(self, search: Ints, run: Ints, length: Ints) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the final value; shapes (m,)."""
        ahead = self.runs.ahead[run, length]
        mean = (ahead * self.place[search]).sum(1) + self.runs.carried[run, length]
        spread = np.einsum("mi,mij,mj->m", ahead, self.cov[search], ahead)
        variance = (np.maximum(spread, 0.0) + self._tail[length]) * self.scale(search)
        return mean, np.sqrt(np.maximum(variance, 1e-18))

    def judge(self, search: Ints, run: Ints, length: Ints) -> Judged:
        """All that is known of runs after `length` positions, from 1 on; shapes (m,)."""
        mean, std = self.predict(search, run, length)
        best, best_run = self.best[search], self.best_run[search]
        some = self._some(search)
        used = some.shape[1]
        expected = (self._ahead[search, :used] @ self.place[search][:, :, None])[:, :, 0]
        expected += self._carried[search, :used]
        if (best_run < 0).any():
            # Nothing has finished: the most promising run stands in for the best.
            hope = np.where(some, expected, -np.inf).argmax(1)
            rows = np.arange(len(hope))
            open_ = best_run < 0
            known = open_ & some.any(1)
            best = np.where(known, expected[rows, hope], np.where(open_, mean, best))
            best_run = np.where(known, self._run[search, hope], np.where(open_, run, best_run))
        own = self._own(search, run, length, mean, std, some.sum(1))
        relative = self._relative(search, run, length, mean, std, best, best_run, expected, some)
        shapes = self.runs.shapes[run, length - 1]
        unit = np.exp(relative[:, -1])[:, None]
        numbers = [own, relative, shapes, shapes[:, 1:-2] / unit, self.runs.codes[run]]
        return Judged(np.concatenate(numbers, axis=1), mean, std, best)

    def _own(
        self, search: Ints, run: Ints, length: Ints, mean: Floats, std: Floats, seen: Ints
    ) -> Floats:
        """(m, OWN)."""
        place, scale = self.place[search], self.scale(search)
        now = self.runs.curves[run, length - 1]
        end = self.runs.surface[run, -1]
        usual_now = (self.runs.surface[run, length - 1] * place).sum(1)
        usual_end = (end * place).sum(1)
        usual_std = np.sqrt(
            np.einsum("mi,mij,mj->m", end, self.cov[search], end).clip(0) + self._tail[0]
        )
        left = self.runs.values[run] - np.einsum("mpk,mk->mp", self.runs.rows[run], place)
        left /= np.sqrt(scale)[:, None]
        passed = np.arange(self.positions) < length[:, None]
        odd = (np.minimum(left**2, 20.0) * passed).sum(1) / length
        tail = np.sqrt(self._tail[length]) + 1e-9
        others = np.einsum("mak,mk->ma", self._anchors[self._task[search]], place)
        middle, spread = others.mean(1), others.std(1) + 1e-9
        columns = [
            mean - now,
            np.log(std),
            np.log(std / (tail * np.sqrt(scale))),
            np.log(tail),
            mean,
            usual_now - now,
            usual_end - mean,
            (usual_end - mean) / usual_std,
            np.log(usual_std),
            np.clip(left[np.arange(len(run)), length - 1], -8, 8),
            np.log1p(odd),
            np.log(scale),
            np.log1p(seen),
            np.log1p(self.finished[search]),
            middle - mean,
            np.log(spread),
            (middle - mean) / spread,
            length / self.positions,
        ]
        return np.stack(columns, axis=1)

    def _relative(
        self,
        search: Ints,
        run: Ints,
        length: Ints,
        mean: Floats,
        std: Floats,
        best: Floats,
        best_run: Ints,
        expected: Floats,
        some: NDArray[np.bool_],
    ) -> Floats:
        """(m, RELATIVE); the last is the logarithm of how far the best run has come."""
        now = self.runs.curves[run, length - 1]
        ref = self.runs.curves[best_run, length - 1]
        seen = some.sum(1)
        ahead_now, reached = self._ahead_now(search, run, length, some)
        ahead_end = (some & (expected > mean[:, None])).sum(1)
        begun = np.where(some, self._first[search, : some.shape[1]], 0.0).sum(1) / np.maximum(
            seen, 1
        )
        first = np.where(seen > 0, begun, self.runs.curves[run, 0])
        way = np.maximum(best - first, 1e-3 * np.abs(best) + 1e-9)
        gain, need = best - ref, best - now
        columns = [
            np.clip(need / (np.abs(gain) + 0.02 * way), -3, 6),
            np.clip((mean - best) / std, -12, 12),
            need / way,
            (now - ref) / way,
            gain / way,
            np.log(std / way),
            (mean - best) / way,
            (mean - now) / way,
            (ahead_now + 0.5) / (reached.sum(1) + 1),
            (ahead_now + 0.5) / (seen + 1),
            np.log1p(reached.sum(1)),
            (ahead_end + 0.5) / (seen + 1),
            np.log(ahead_end + 0.5),
            now - ref,
            need,
            mean - best,
            np.log(way),
        ]
        return np.stack(columns, axis=1)


def own_scale(numbers: Floats) -> tuple[Floats, Floats]:
    """Where a run stands and a third of the best run's way, from `Judged.numbers`; (m,)."""
    way = np.exp(numbers[:, OWN + RELATIVE - 1])
    return numbers[:, OWN + RELATIVE], 0.3 * way
