"""Source portfolio, then evolution: first what did best elsewhere, then its offspring.

The sources' architectures in order of their mean rank there come first, then the aging
evolution of `metanas.strategies.evolution` with them as its first population.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.portfolio import Portfolio
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import SearchSpace
from metanas.strategies.candidates import best_untried, taken_keys
from metanas.strategies.evolution import Evolution


class PortfolioStrategy:
    """Implements `metanas.protocols.Strategy`.

    Args:
        first: proposals from the portfolio.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
        first: int = 10,
    ) -> None:
        self._evolution = Evolution(space=space, seed=seed)
        self._first = first
        batch = Trials.of(sources)
        self._known: tuple[Architecture, ...] = ()
        self._ranks = np.empty(0)
        if np.isfinite(batch.scores).any():
            every = space.enumerate()
            there = None if every is None else frozenset(every)
            known = SourceScores.of(batch, space).architectures
            self._known = tuple(each for each in known if there is None or each in there)
            fitted = Portfolio(space=space).fit(batch, dict(tasks or {}))
            self._ranks = fitted.predict(self._known, Task.table("any")).mean

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        taken = taken_keys(trials, pending)
        if self._known and len(taken) < self._first:
            chosen = best_untried(self._known, self._ranks, taken)
            if chosen is not None:
                return chosen
        return self._evolution.propose(trials, task, rng, pending=pending)
