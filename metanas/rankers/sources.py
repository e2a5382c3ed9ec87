"""Source trials as tables of curves on one grid and scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture
from metanas.protocols import SearchSpace
from metanas.rankers.curve_table import (
    CurveTable,
    Floats,
    Grid,
    Scale,
    outcome_curves,
    run_noise,
)

Ints = NDArray[np.int64]

FEWEST_RUNS = 8
"""A task with fewer finished runs teaches nothing about tasks."""

MOST_SOURCES = 40
"""Of more tasks those with most runs are used."""


@dataclass(frozen=True)
class Sources:
    """What is learned from.

    Attributes:
        tables: one a task, by name.
        grid, scale: shared by all.
        shift, unit: bring encodings into [0, 1], shapes (numbers,).
        rows: by task, which of the trials' distinct architectures its curves are of.
        noise: of each table's runs by chance, on the scale, see `run_noise`; (tables,).
    """

    space: SearchSpace
    tables: tuple[CurveTable, ...]
    grid: Grid
    scale: Scale
    shift: Floats
    unit: Floats
    rows: Mapping[str, Ints]
    noise: Floats

    @classmethod
    def of(cls, trials: Trials, space: SearchSpace, outcome: str) -> Sources | None:
        """From finished and failed runs, None where there are too few.

        Only trials of the metric that most have are used: others share no scale. Of copies
        one counts, see `without_copies`.
        """
        trials = trials.where(space=space.name)
        usable = trials.take(~trials.stopped & (trials.lengths > 0))
        if not usable.completed.any():
            return None
        counts = np.bincount(
            usable.codes("metric")[usable.completed], minlength=len(usable.names("metric"))
        )
        usable = without_copies(usable.where(metric=usable.names("metric")[int(counts.argmax())]))
        if usable.lengths[usable.completed].max() < 2:
            return None
        grid = Grid.of(usable)
        task = usable.codes("task")
        finished = np.bincount(task[usable.completed], minlength=len(usable.names("task")))
        chosen = [
            code for code in np.argsort(-finished, kind="stable") if finished[code] >= FEWEST_RUNS
        ]
        rows = {code: np.flatnonzero(task == code) for code in chosen}
        raw = {
            code: np.stack([whole_on(grid, usable, int(row)) for row in part])
            for code, part in rows.items()
        }
        chosen = [code for code in chosen if _moves(raw[code])]
        chosen = sorted(chosen[:MOST_SOURCES], key=lambda code: usable.names("task")[code])
        if not chosen or len(grid) < 2:
            return None
        firsts = [float(np.nanmedian(raw[code][:, 0])) for code in chosen]
        bests = [float(np.nanmax(raw[code])) for code in chosen]
        scale = Scale.of(firsts, bests)
        described = np.asarray(space.describe_all(usable.architectures), np.float64)
        every = described[np.unique(usable.architecture_codes)]
        shift, top = every.min(axis=0), every.max(axis=0)
        unit = np.where(top > shift, top - shift, 1.0)
        place = {a: index for index, a in enumerate(trials.architectures)}
        everywhere = np.array([place[a] for a in usable.architectures])
        tables, owners = [], {}
        finals, groups = [], []
        for code in chosen:
            part = rows[code]
            curves = outcome_curves(scale(raw[code]), outcome)
            architecture = usable.architecture_codes[part]
            codes = (described[architecture] - shift) / unit
            whole = usable.completed[part] & np.isfinite(raw[code][:, -1])
            finals.append(curves[whole, -1])
            lasts = usable.flat_epochs[usable.offsets[part + 1] - 1]
            ones = np.full(int(whole.sum()), code)
            groups.append(np.stack([ones, architecture[whole], lasts[whole]], axis=1))
            order = np.lexsort((*curves.T[:3], *codes.T))
            order = order[np.random.default_rng(0).permutation(len(order))]
            name = usable.names("task")[code]
            tables.append(CurveTable(name, codes[order], curves[order], curves[order, -1]))
            owners[name] = everywhere[architecture][order]
        group = np.unique(np.concatenate(groups), axis=0, return_inverse=True)[1].ravel()
        table = np.repeat(np.arange(len(finals)), [len(each) for each in finals])
        noise = run_noise(np.concatenate(finals), group, table, len(tables))
        return cls(space, tuple(tables), grid, scale, shift, unit, owners, noise)

    def encode(self, architectures: Sequence[Architecture]) -> Floats:
        """Shape (n, numbers)."""
        described = np.asarray(self.space.describe_all(architectures), np.float64)
        return np.asarray((described - self.shift) / self.unit)


def _moves(curves: Floats) -> bool:
    """Whether a task's runs, (n, positions), begin with numbers and differ at all."""
    finite = curves[np.isfinite(curves)]
    return bool(np.isfinite(curves[:, 0]).any() and len(finite) and np.ptp(finite) > 0.0)


def without_copies(trials: Trials) -> Trials:
    """Without trials whose curve another trial of the same task and architecture has.

    A search on a table stores again what the table knew: that is no second measurement, and
    would pass for one without chance in it. Curves of one value stay: a network that learns
    nothing has the same curve whatever the seed. Completed trials come first, then the
    earlier ones.
    """
    seen: set[tuple[int, int, bytes, bytes]] = set()
    kept = []
    task, offsets = trials.codes("task"), trials.offsets
    for row in np.argsort(~trials.completed, kind="stable").tolist():
        part = slice(offsets[row], offsets[row + 1])
        values = trials.flat_values[part]
        of = int(task[row]), int(trials.architecture_codes[row])
        key = *of, trials.flat_epochs[part].tobytes(), values.tobytes()
        if key not in seen or (values == values[:1]).all():
            kept.append(row)
        seen.add(key)
    return trials if len(kept) == len(trials) else trials.take(sorted(kept))


def whole_on(grid: Grid, trials: Trials, row: int) -> Floats:
    """A whole curve at the grid's positions; where a failed one ends, NaN."""
    start, end = trials.offsets[row], trials.offsets[row + 1]
    epochs, values = trials.flat_epochs[start:end], trials.flat_values[start:end]
    total = int(epochs[-1]) if trials.completed[row] else grid.epochs
    found = np.full(len(grid), np.nan)
    read = grid.read(epochs, values.astype(np.float64), max(total, int(epochs[-1])))
    found[: len(read)] = read
    return found


def prefix_on(
    grid: Grid, epochs: Sequence[int], values: NDArray[np.floating], total: int
) -> Floats:
    """A prefix at the positions it covers, shape (covered,)."""
    return grid.read(np.asarray(epochs, np.int64), np.asarray(values, np.float64), total)
