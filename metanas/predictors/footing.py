"""Scores of one task from several sources, brought to one footing.

An accuracy after 12 epochs and one after 200 do not compare, so each source tells only the
order of what it measured. Nor do ranks compare: a search measures mostly good architectures,
and its worse half are better than most of a random draw. So every source is placed on the
scale of the largest one by what that one has measured, or foretells, of its architectures:
they keep their source's order, but get the mean and the spread expected of them. Where
nothing can be foretold that is the mean and spread of all, and ranks stay those within the source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Describe = Callable[[NDArray[np.int64]], NDArray[np.floating]]
"""Descriptions of the architectures in these columns, shape (k, d)."""

FEWEST = 10
"""Architectures that something can be foretold from."""

ALIKE = 0.5
"""Normal scores by which a source's scores may be off from what the largest foretells of them, on
average, and still pass for its own. As much is foretold amiss of what searches choose (-0.1 to 0.4
on CIFAR-10 in NAS-Bench-201), while other epochs or another width mostly move scores further."""

TIMES = 2.0
"""And so many times as far apart, or as near together, as foretold."""

MOST = 2_000
"""So many, drawn at random, say as much as more."""


@dataclass(frozen=True)
class Measured:
    """One source's architectures.

    Attributes:
        columns: which they are, ascending; shape (k,).
        scores: as measured, (k,).
        normal: their normal scores within the source, (k,).
    """

    columns: NDArray[np.int64]
    scores: Floats
    normal: Floats

    def __len__(self) -> int:
        return len(self.columns)


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks put through the normal distribution's inverse, NaN kept; shape (n,)."""
    known = np.isfinite(values)
    out = np.full(len(values), np.nan)
    if known.any():
        ranks = rankdata(values[known])
        out[known] = ndtri((ranks - 0.5) / len(ranks))
    return out


def on_one_footing(parts: Sequence[Measured], describe: Describe) -> list[Measured]:
    """The sources as if all were the largest that ranks anything, of equals the first.

    Those whose scores compare with its are ranked together with it, the others placed among them.

    Args:
        parts: of one task.

    Returns:
        In the same order; scores of the sources ranked together are unchanged.
    """
    if len(parts) < 2:
        return list(parts)
    order = sorted(range(len(parts)), key=lambda i: (not parts[i].normal.any(), -len(parts[i])))
    footing = parts[order[0]]
    foretell = _foreteller(footing, describe)
    expected = {i: _expected(parts[i], footing, foretell) for i in order[1:]}
    alike = [order[0], *(i for i in order[1:] if _alike(parts[i], footing, *expected[i]))]
    whole = _together([parts[i] for i in alike])
    normal = dict(zip(whole.columns.tolist(), whole.normal.tolist(), strict=True))
    placed = []
    for i, part in enumerate(parts):
        if i in alike:
            own = np.array([normal[column] for column in part.columns.tolist()])
            placed.append(Measured(part.columns, part.scores, own))
        else:
            placed.append(_placed(part, whole, *expected[i]))
    return placed


def _alike(part: Measured, footing: Measured, expected: Floats, variance: Floats) -> bool:
    """Whether scores are about as high, and as far apart, as the largest source's would be."""
    if len(part) < FEWEST:
        return False
    order = np.argsort(footing.scores, kind="stable")
    level = np.interp(part.scores, footing.scores[order], footing.normal[order])
    off, spread = abs(level.mean() - expected.mean()), _spread(expected, variance)
    return bool(off <= ALIKE and spread / TIMES <= level.std() <= spread * TIMES)


def _together(parts: Sequence[Measured]) -> Measured:
    """One source of several whose scores compare, averaged evenly."""
    columns = np.concatenate([part.columns for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    found, place = np.unique(columns, return_inverse=True)
    means = np.bincount(place, scores) / np.bincount(place)
    return Measured(found, means, normal_scores(means))


def _expected(
    part: Measured,
    footing: Measured,
    foretell: Callable[[NDArray[np.int64]], tuple[Floats, Floats]],
) -> tuple[Floats, Floats]:
    """Normal scores in the largest source, and their variances; (k,) each."""
    expected, variance = np.zeros(len(part)), np.zeros(len(part))
    place = np.searchsorted(footing.columns, part.columns).clip(max=len(footing) - 1)
    shared = footing.columns[place] == part.columns
    expected[shared] = footing.normal[place[shared]]
    if not shared.all():
        expected[~shared], variance[~shared] = foretell(part.columns[~shared])
    return expected, variance


def _placed(part: Measured, footing: Measured, expected: Floats, variance: Floats) -> Measured:
    own, normal = part.normal.std(), expected
    if own > 0:  # else all scores are equal, and what is expected stands
        normal = expected.mean() + _spread(expected, variance) / own * part.normal
    order = np.argsort(footing.normal, kind="stable")
    scores = np.interp(normal, footing.normal[order], footing.scores[order])
    return Measured(part.columns, scores, normal)


def _spread(expected: Floats, variance: Floats) -> float:
    """Standard deviation to be expected of the architectures' normal scores."""
    return float(np.sqrt(expected.var() + variance.mean()))


def _foreteller(
    footing: Measured, describe: Describe
) -> Callable[[NDArray[np.int64]], tuple[Floats, Floats]]:
    """Expected normal scores of architectures in the largest source, and their variances."""
    if len(footing) < FEWEST:
        return lambda columns: (np.zeros(len(columns)), np.ones(len(columns)))
    from sklearn.linear_model import BayesianRidge

    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(len(footing))[:MOST])
    known = describe(footing.columns[some]).astype(np.float64)
    center, spread = known.mean(axis=0), known.std(axis=0)
    spread[spread == 0] = 1.0
    model = BayesianRidge().fit((known - center) / spread, footing.normal[some])
    low, high = footing.normal.min(), footing.normal.max()

    def foretell(columns: NDArray[np.int64]) -> tuple[Floats, Floats]:
        inputs = (describe(columns).astype(np.float64) - center) / spread
        mean, std = model.predict(inputs, return_std=True)
        # Nothing is foretold beyond what was measured, nor less surely than not at all.
        return np.clip(mean, low, high), np.minimum(std**2, 1.0)

    return foretell
