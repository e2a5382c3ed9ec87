"""Searches over stored curves, stopped by LCRankNet: what a benchmark plays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metadata_store.batch import Trials
from metanas.rankers.curve_table import Floats, outcome_curves
from metanas.rankers.lcranknet import LCRankNet
from metanas.rankers.play import Below, play
from metanas.rankers.runs import Ints, Runs
from metanas.rankers.sources import whole_on


def replay(
    ranker: LCRankNet, trials: Trials, orders: Ints, deltas: Sequence[float]
) -> tuple[Ints, Floats]:
    """Plays searches over whole runs of a task that is no source.

    Args:
        ranker: fitted on at least two sources.
        trials: n finished or failed runs.
        orders: indices into them, one search a row, (searches, n).
        deltas: thresholds.

    Returns:
        Positions of its curve that each run was trained for, in the order of the rows of
        `trials`, (deltas, searches, n), and all positions as shares of a run, (positions,).
    """
    if ranker.prior is None or ranker.sources is None or ranker.boosted is None:
        raise ValueError("need a ranker fitted on at least two source tasks")
    sources, learned = ranker.sources, ranker.prior
    grid = sources.grid
    curves = np.stack([whole_on(grid, trials, row) for row in range(len(trials))])
    curves = outcome_curves(sources.scale(curves), ranker.outcome)
    codes = sources.encode([trials.architectures[code] for code in trials.architecture_codes])
    runs = Runs.of(learned.surface(codes), curves, codes, curves[:, -1], learned.factor)
    runs = ranker.boosted.foretold(runs, ranker.boosted.whole)
    every = np.tile(orders, (len(deltas), 1))
    threshold = np.repeat(np.asarray(deltas, np.float64), len(orders))
    task = np.zeros(len(every), np.int64)
    policy = Below(ranker.ensemble.chance, threshold, grid.positions)
    played = play(runs, [learned.prior], task, every, policy)
    lengths = np.empty_like(played.lengths)
    np.put_along_axis(lengths, every, played.lengths, axis=1)
    return lengths.reshape(len(deltas), *orders.shape), grid.positions
