"""Greedy search: train what a predictor believes to be best, and let it learn from that."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.predictors import PREDICTORS
from metanas.protocols import SearchSpace
from metanas.strategies.candidates import (
    best_untried,
    drawn,
    fresh,
    listed,
    random_draws,
    taken_keys,
)

PARENTS = 20


class Greedy:
    """Implements `metanas.protocols.Strategy`.

    The predictor is fitted anew on sources and own trials for each proposal.

    Args:
        predictor: a key of `metanas.predictors.PREDICTORS`.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
        predictor: str = "tapas",
    ) -> None:
        if predictor not in PREDICTORS:
            raise ValueError(f"unknown predictor {predictor!r}; there are {', '.join(PREDICTORS)}")
        self._space = space
        self._sources = Trials.of(sources)
        self._tasks = dict(tasks or {})
        self._predictor = predictor
        self._seed = seed
        self._listed = listed(space)

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        own = Trials.of(trials)
        known = Trials.concat([self._sources, own])
        taken = taken_keys(own, pending)
        if np.isfinite(known.scores).any():
            make = PREDICTORS[self._predictor]
            seeded = "seed" in inspect.signature(make).parameters
            options = {"seed": self._seed} if seeded else {}
            fitted = make(space=self._space, **options).fit(known, self._tasks)
            found = self._listed or drawn(self._space, _best(own) or _best(known), rng)
            chosen = best_untried(found, fitted.predict(found, task).mean, taken)
            if chosen is not None:
                return chosen
        return fresh(random_draws(self._space, rng), self._space, taken)


def _best(trials: Trials) -> list[Architecture]:
    order = np.argsort(-np.nan_to_num(trials.scores, nan=-np.inf), kind="stable")
    codes = dict.fromkeys(trials.architecture_codes[order].tolist())
    return [trials.architectures[code] for code in codes][:PARENTS]
