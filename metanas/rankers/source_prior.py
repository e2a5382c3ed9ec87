"""The prior of a new task, and of every source task as if it were new."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metanas.rankers.curve_table import CurveTable, Floats
from metanas.rankers.runs import Prior, Runs
from metanas.rankers.surfaces import (
    Basis,
    Smoothness,
    Surface,
    deviation_factor,
    fitted_places,
)

ANCHORS = 32
"""Architectures whose expected final values say where a run's lies."""


class SourcePrior:
    """What two or more source tasks lead to expect.

    Args:
        tables: one a source, all on one grid and scale.
        factors: directions in which tasks may differ.
    """

    def __init__(
        self, tables: Sequence[CurveTable], *, factors: int, rng: np.random.Generator
    ) -> None:
        if len(tables) < 2:
            raise ValueError(f"need curves of at least two source tasks, got {len(tables)}")
        self.tables = tables
        smoothness = Smoothness.of(tables)
        self._surfaces = [Surface(table, smoothness) for table in tables]
        pool = np.concatenate([table.codes for table in tables])
        self._anchor_codes = pool[rng.permutation(len(pool))[:ANCHORS]]
        at_sources = [
            np.stack([each.unseen(table.codes) for each in self._surfaces]) for table in tables
        ]
        anchors = np.stack([each.unseen(self._anchor_codes) for each in self._surfaces])
        self.factors = min(factors, len(tables))
        self._basis = Basis(joined(at_sources), self.factors)
        self.factors = len(self._basis.mean)
        self._left_out = []
        deviations = []
        for index, table in enumerate(tables):
            others = [i for i in range(len(tables)) if i != index]
            everywhere = joined([part[others] for part in at_sources])
            basis = Basis(everywhere, self.factors)
            surface = basis(at_sources[index][others])
            place = fitted_places(surface, table.curves, basis)
            deviations.append(table.curves - surface @ place)
            self._left_out.append((basis, surface, basis(anchors[others])[:, -1]))
        self.factor = deviation_factor(deviations)
        ends = self._basis(anchors)[:, -1]
        self._tops = [float(table.final.max()) for table in tables]
        top = max(self._tops)
        self.prior = Prior(self._basis.mean, self._basis.cov, ends, self.factor, top)

    def surface(self, codes: Floats) -> Floats:
        """Directions along the curves of architectures of a new task; (n, positions, k)."""
        return self._basis(np.stack([each.at(codes) for each in self._surfaces]))

    def left_out(self, index: int, stretch: float = 1.0) -> tuple[Prior, Runs]:
        """A source as a new task, predicted from the others.

        Args:
            stretch: its curves are made so much taller, as of a task on another scale.
        """
        basis, surface, ends = self._left_out[index]
        table = self.tables[index]
        start = float(np.median(table.curves[:, 0]))
        curves = start + stretch * (table.curves - start)
        final = start + stretch * (table.final - start)
        wide, mean, cov = basis.padded(surface, self.factors)
        padded_ends, _, _ = basis.padded(ends[:, None], self.factors)
        top = max(top for i, top in enumerate(self._tops) if i != index)
        prior = Prior(mean, cov, padded_ends[:, 0], self.factor, top)
        return prior, Runs.of(wide, curves, table.codes, final, self.factor)


def joined(parts: Sequence[Floats]) -> Floats:
    """Surfaces at all places together, (sources, n, positions), thinned to a bounded number."""
    every = max(1, sum(part.shape[1] for part in parts) // 600)
    return np.concatenate([part[:, ::every] for part in parts], axis=1)
