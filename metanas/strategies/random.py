"""Random search: the baseline every strategy has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metadata_store.records import Architecture, Task, Trial
from metanas.protocols import SearchSpace
from metanas.strategies.candidates import fresh, random_draws, taken_keys


class RandomSearch:
    """Implements `metanas.protocols.Strategy`; learns nothing."""

    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
    ) -> None:
        self._space = space

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        taken = taken_keys(trials, pending)
        return fresh(random_draws(self._space, rng), self._space, taken)
