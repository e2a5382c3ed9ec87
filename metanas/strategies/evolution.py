"""Aging evolution: children of good architectures replace the oldest, not the worst.

[AmoebaNet] Real et al. Regularized Evolution for Image Classifier Architecture Search.
AAAI 2019, arXiv 1802.01548.

Differs from the paper: only architectures not tried before are proposed; the population
is rebuilt from the trials, so nothing has to be kept; a stopped trial counts by its best
value, a lower bound, and a failed one dies at birth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.protocols import SearchSpace
from metanas.strategies.candidates import fresh, mutants, random_draws, taken_keys


class Evolution:
    """Implements `metanas.protocols.Strategy`; learns nothing from sources.

    Args:
        population: how many of the latest trials may have children.
        sample: how many of them compete to be a parent.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
        population: int = 10,
        sample: int = 3,
    ) -> None:
        if not 1 <= sample <= population:
            raise ValueError(
                f"need 1 <= sample <= population, got a sample of {sample} out of {population}"
            )
        self._space = space
        self._population = population
        self._sample = sample

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        batch = Trials.of(trials)
        taken = taken_keys(trials, pending)
        alive = np.flatnonzero(np.isfinite(batch.best))[-self._population :]
        if len(alive) + len(pending) < self._population or not len(alive):
            return fresh(random_draws(self._space, rng), self._space, taken)
        competing = rng.choice(alive, self._sample)
        winner = competing[batch.best[competing].argmax()]
        parent = batch.architectures[batch.architecture_codes[winner]]
        return fresh(mutants(self._space, parent, rng), self._space, taken)
