"""Boosted trees: what a run still gains, from the prefix of its curve and its architecture.

They know nothing of the search but how far off they were on its finished runs. Each part
of the sources is predicted by trees that have not seen it; how far these are off is
learned by further trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from metanas.rankers.curve_shape import shape_numbers
from metanas.rankers.curve_table import CurveTable, Floats
from metanas.rankers.runs import Ints, Runs, bounded

MOST_PARTS = 3
"""Trees take long to train."""

MOST_ROWS = 50_000
"""Prefixes that are learned from."""

DEVIATION = 1.25
"""Of a normal error, against its mean size."""


@dataclass(frozen=True)
class Habits:
    """Variances of forecasts' errors, in their deviations, after each position; (positions,).

    In deviations, since runs that go badly are badly foreseen, and must not drown the rest.

    Attributes:
        within: of runs of one task around the task's mean. between: of tasks' means.
    """

    within: Floats
    between: Floats

    def corrected(self, length: Ints, off: Floats, seen: Ints) -> tuple[Floats, Floats]:
        """What is to be added to forecasts, and what their deviation is to be multiplied by.

        Args:
            length: of the prefixes, from 1 on, (m,).
            off: the sum of the errors after as many points of the task's finished runs, (m,).
            seen: how many these are, (m,).

        Returns:
            Both in deviations, (m,).
        """
        within, between = self.within[length - 1], self.between[length - 1]
        known = between / (within + seen * between)
        left = within + between * (1.0 - seen * known)
        return known * off, np.sqrt(left / (within + between))


class Boosted:
    """Forecasts of the final value by trees, one ensemble without each part of the sources.

    Args:
        tables: of at least two sources.
        part: the one that each source is in, two or more from 0, (sources,).

    Attributes:
        whole: where, after the parts', the forecasts of trees that have seen all sources stand.
        habits: how far off forecasts of a new task are, run by run and all alike.
    """

    def __init__(
        self, tables: Sequence[CurveTable], part: Ints, *, rng: np.random.Generator
    ) -> None:
        self.part = part
        positions = tables[0].curves.shape[1]
        # Dense at the beginning, where decisions are made; a whole run gains nothing more.
        kept = np.unique([*range(min(12, positions - 1)), *range(0, positions - 1, 3)])
        rows, gains = [], []
        for table in tables:
            given = prefix_rows(shape_numbers(table.curves[:, :-1])[:, kept], table.codes)
            rows.append(given.reshape(-1, given.shape[2]))
            gains.append((table.final[:, None] - table.curves[:, kept]).ravel())
        owner = np.repeat(part, [len(each) for each in gains])
        picked = rng.permutation(len(owner))[:MOST_ROWS]
        x, gain = np.concatenate(rows)[picked], np.concatenate(gains)[picked]
        owner = owner[picked]
        self._gains = [
            _trees("squared_error", rng).fit(x[owner != held], gain[owner != held])
            for held in range(int(part.max()) + 1)
        ]
        error = np.zeros(len(gain))
        for held, trees in enumerate(self._gains):
            error[owner == held] = np.abs(gain - trees.predict(x))[owner == held]
        self.whole = len(self._gains)
        self._gains.append(_trees("squared_error", rng).fit(x, gain))
        self._floor = 1e-3 * float(gain.std()) + 1e-12
        self._error = _trees("poisson", rng).fit(x, error + self._floor)
        self.habits = self._habits(tables, rows, kept)

    def _habits(self, tables: Sequence[CurveTable], rows: Sequence[Floats], kept: Ints) -> Habits:
        """From each source, by the trees without it."""
        within, means = [], []
        for table, given, held in zip(tables, rows, self.part, strict=True):
            error = (table.final[:, None] - table.curves[:, kept]).ravel()
            error -= self._gains[held].predict(given)
            off = bounded(error, self._deviation(given)).reshape(-1, len(kept))
            within.append(off.var(axis=0))
            means.append(off.mean(axis=0))
        runs = np.mean([len(table.final) for table in tables])
        alone = np.mean(within, axis=0) + 1e-6
        shared = np.maximum(np.mean(np.square(means), axis=0) - alone / runs, 0.0)
        places = np.arange(tables[0].curves.shape[1])
        return Habits(np.interp(places, kept, alone), np.interp(places, kept, shared))

    def _deviation(self, rows: Floats) -> Floats:
        """Of forecasts for prefixes, (n,)."""
        return np.asarray(np.maximum(DEVIATION * self._error.predict(rows), self._floor))

    @property
    def width(self) -> int:
        """Numbers of a forecast."""
        return len(self._gains) + 1

    def __call__(self, shapes: Floats, codes: Floats, asked: Sequence[int] | None = None) -> Floats:
        """Gains still to come by trees without each part, and of all; last, their deviation.

        Args:
            shapes: of prefixes, as `shape_numbers`, (n, positions, numbers).
            codes: (n, numbers).
            asked: columns that matter, by default all; others are 0.

        Returns:
            Shape (n, positions, parts + 2).
        """
        rows = prefix_rows(shapes, codes)
        flat = rows.reshape(-1, rows.shape[2])
        gains = [
            trees.predict(flat) if asked is None or column in asked else np.zeros(len(flat))
            for column, trees in enumerate(self._gains)
        ]
        return np.stack([*gains, self._deviation(flat)], axis=1).reshape(*rows.shape[:2], -1)

    def foretold(self, runs: Runs, column: int) -> Runs:
        """With one column of forecasts, and their deviation."""
        return replace(runs, forecast=self(runs.shapes, runs.codes, [column]))


def prefix_rows(shapes: Floats, codes: Floats) -> Floats:
    """Numbers of every prefix with the codes, (n, positions, numbers)."""
    wide = np.repeat(codes[:, None], shapes.shape[1], axis=1)
    return np.concatenate([shapes, wide], axis=2)


def _trees(loss: str, rng: np.random.Generator) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss=loss,
        max_iter=150,
        learning_rate=0.08,
        min_samples_leaf=40,
        early_stopping=False,
        random_state=int(rng.integers(2**31)),
    )
