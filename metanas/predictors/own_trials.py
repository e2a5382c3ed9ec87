"""A task's own trials as a search sees them: some completed, some stopped, some failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Trial


@dataclass(frozen=True)
class OwnTrials:
    """Architectures tried on one task, each once, in the order first tried.

    Attributes:
        tried: all of them, the failed ones too.
        measured: those with a score or a lower bound.
        scores: of `measured`: the mean over completed trials, else the highest bound.
        bound: which of `measured` have only a bound, that of a stopped trial.
    """

    tried: tuple[Architecture, ...]
    measured: tuple[Architecture, ...]
    scores: NDArray[np.float64]
    bound: NDArray[np.bool_]

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> OwnTrials:
        """Collects trials of one task."""
        batch = Trials.of(trials)
        tried = tuple(batch.architectures)
        n = len(tried)
        codes, best = batch.architecture_codes, batch.best
        done = batch.completed & np.isfinite(best)
        count = np.bincount(codes[done], minlength=n)
        total = np.bincount(codes[done], weights=best[done], minlength=n)
        bounds = np.full(n, -np.inf)
        stopped = batch.stopped & np.isfinite(best)
        np.maximum.at(bounds, codes[stopped], best[stopped])
        known = (count > 0) | np.isfinite(bounds)
        scores = np.where(count > 0, total / np.maximum(count, 1), bounds)
        return cls(
            tried,
            tuple(architecture for architecture, keep in zip(tried, known, strict=True) if keep),
            scores[known],
            (count == 0)[known],
        )
