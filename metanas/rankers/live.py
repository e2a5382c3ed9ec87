"""A search as it goes on: runs come, grow and end; is this one worth its epochs?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from metadata_store.records import Architecture
from metanas.rankers.boosted import Boosted
from metanas.rankers.curve_table import Floats, outcome_curves
from metanas.rankers.runs import Ints, Prior, Runs
from metanas.rankers.searches import Searches
from metanas.rankers.source_prior import SourcePrior
from metanas.rankers.sources import Sources, prefix_on

NOISE = 1e-3
"""Ends this close, as a share of the scale's width, are a near tie."""


class Judge(Protocol):
    """Implemented by `metanas.rankers.ensemble.Ensemble`."""

    def judge(
        self, searches: Searches, search: Ints, run: Ints, length: Ints
    ) -> tuple[Floats, Floats]: ...

    def chance(self, searches: Searches, search: Ints, run: Ints, length: Ints) -> Floats: ...


class LiveSearch(Protocol):
    """What is known of one task's runs; a run is named by any hashable key."""

    def add(self, key: object, architecture: Architecture | None) -> None:
        """A run begins."""
        ...

    def extend(self, key: object, epochs: Sequence[int], values: Sequence[float]) -> None:
        """Its curve so far, whole; higher is better."""
        ...

    def finish(self, key: object) -> None:
        """It has been trained to its end."""
        ...

    def chance(self, key: object) -> float | None:
        """To end above the best finished run; None while nothing can be said."""
        ...

    def left(self, key: object) -> float:
        """The share of a run that is still to be trained, in (0, 1]; of a longer one, 0."""
        ...

    def scores(self, keys: Sequence[object]) -> tuple[Floats, Floats]:
        """Score and scale of n runs with at least one point, (members, n) each."""
        ...

    @property
    def best(self) -> float | None:
        """Of the finished runs."""
        ...

    @property
    def fits(self) -> bool:
        """Whether values are such as could be of the sources' metric."""
        ...


@dataclass
class _Run:
    """`row` is -1 until its first point."""

    row: int
    surface: Floats
    codes: Floats
    length: int = 0
    finished: bool = False
    epochs: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


class InformedSearch:
    """Implements `LiveSearch` with what other tasks taught.

    Args:
        sources, learned, judge, boosted: of a fitted ranker.
        prior: by default that of a new task.
        epochs: of a whole run, by default the sources'.
    """

    def __init__(
        self,
        sources: Sources,
        learned: SourcePrior,
        judge: Judge,
        boosted: Boosted,
        *,
        outcome: str,
        prior: Prior | None = None,
        epochs: int | None = None,
    ) -> None:
        self._sources, self._learned, self._outcome = sources, learned, outcome
        self._judge, self._boosted = judge, boosted
        self._epochs = epochs or sources.grid.epochs
        self._runs: dict[object, _Run] = {}
        positions, k = len(sources.grid), learned.factors
        nothing = np.zeros((1, positions))
        codes = np.zeros((1, len(sources.unit)))
        blank = self._as_runs(np.zeros((1, positions, k)), nothing, codes)
        self._searches = Searches(blank, [prior or learned.prior], np.zeros(1, np.int64), 1)

    def add(self, key: object, architecture: Architecture | None) -> None:
        if architecture is None:
            raise ValueError("need the architecture of a run to compare it with other tasks' runs")
        codes = self._sources.encode([architecture])
        self._runs[key] = _Run(-1, self._learned.surface(codes), codes)

    def extend(self, key: object, epochs: Sequence[int], values: Sequence[float]) -> None:
        run = self._runs[key]
        run.epochs, run.values = tuple(epochs), tuple(values)
        prefix = prefix_on(self._sources.grid, epochs, np.asarray(values), self._epochs)
        self._see(run, prefix)

    def finish(self, key: object) -> None:
        run = self._runs[key]
        if not run.epochs or run.finished:
            return
        run.finished = True
        prefix = prefix_on(self._sources.grid, run.epochs, np.asarray(run.values), run.epochs[-1])
        self._see(run, prefix)

    def chance(self, key: object) -> float | None:
        run = self._runs[key]
        if run.length == 0 or run.finished or not self._searches.finished[0]:
            return None
        if math.isnan(run.values[-1]) and not self._ahead(run):
            return 0.0  # weights that are not numbers stay so
        none, row, runs = np.zeros(1, np.int64), np.array([run.row]), self._searches.runs
        last = slice(run.length - 1, run.length)
        runs.forecast[row, last] = self._boosted(
            runs.shapes[row, last], run.codes, [self._boosted.whole]
        )
        self._searches.hidden[0] = run.row
        chance = self._judge.chance(self._searches, none, row, np.array([run.length]))
        self._searches.hidden[0] = -1
        return float(chance[0])

    def left(self, key: object) -> float:
        epochs = self._runs[key].epochs
        return max(0.0, 1.0 - epochs[-1] / self._epochs) if epochs else 1.0

    def _ahead(self, run: _Run) -> bool:
        """Whether it has what it takes, whatever comes."""
        none, row = np.zeros(1, np.int64), np.array([run.row])
        leads = self._searches.leads(none, row, np.array([run.length]))
        return self._outcome == "score" and bool(leads[0])

    @property
    def best(self) -> float | None:
        """Of the finished runs, on the sources' scale."""
        return float(self._searches.best[0]) if self._searches.finished[0] else None

    @property
    def fits(self) -> bool:
        """Half the runs seen lie between the sources' floor and beyond their best."""
        seen = [run.values[-1] for run in self._runs.values() if run.values]
        top = max(float(table.final.max()) for table in self._sources.tables)
        scale = self._sources.scale
        inside = [scale.floor <= value <= top + 2.0 * scale.width for value in seen]
        diverged = sum(value != value for value in seen)
        return 2 * (sum(inside) + diverged) >= len(inside)

    def scores(self, keys: Sequence[object]) -> tuple[Floats, Floats]:
        """Score and scale of runs with at least one point, (members, n) each."""
        runs = [self._runs[key] for key in keys]
        none = np.zeros(1, np.int64)
        found = []
        for run in runs:
            if run.length == 0:
                raise ValueError(
                    f"need a run with a point at {self._sources.grid.positions[0]:.3g}"
                    " of its way or before, got an empty curve"
                )
            self._searches.hidden[0] = run.row
            if run.finished:
                final = self._searches.runs.final[run.row]
                wide = np.full(1, NOISE * self._sources.scale.width)
                found.append((np.full((1, 1), final), wide[None]))
            else:
                found.append(
                    self._judge.judge(
                        self._searches, none, np.array([run.row]), np.array([run.length])
                    )
                )
        self._searches.hidden[0] = -1
        members = max(len(score) for score, _ in found)
        scores = [np.broadcast_to(score, (members, 1)) for score, _ in found]
        scales = [np.broadcast_to(scale, (members, 1)) for _, scale in found]
        return np.concatenate(scores, axis=1), np.concatenate(scales, axis=1)

    def _see(self, run: _Run, prefix: Floats) -> None:
        """Takes in the positions passed since."""
        positions = len(self._sources.grid)
        # Only `finish` says that a run is over.
        length = min(len(prefix), positions if run.finished else positions - 1)
        if length <= run.length:
            return
        curve = self._sources.scale(np.pad(prefix[:length], (0, positions - length), "edge"))
        curve = outcome_curves(curve, self._outcome)
        whole = self._as_runs(run.surface, curve[None], run.codes)
        none = np.zeros(1, np.int64)
        if run.row < 0:
            run.row = self._searches.arrive()
        if length == positions:
            whole = self._boosted.foretold(whole, self._boosted.whole)
        self._searches.runs.write(run.row, whole)
        row = np.array([run.row])
        for position in range(run.length, length):
            self._searches.observe(none, row, np.array([position]))
        run.length = length
        self._searches.place_run(none, row, row, np.array([length]))

    def _as_runs(self, surface: Floats, curves: Floats, codes: Floats) -> Runs:
        final, factor = curves[:, -1], self._learned.factor
        return Runs.of(surface, curves, codes, final, factor, forecasts=self._boosted.width)
