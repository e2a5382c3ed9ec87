"""NAO: the search of XferNAS without other tasks, its cold start.

[NAO] Luo et al. Neural Architecture Optimization. NeurIPS 2018, arXiv 1808.07233.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metadata_store.records import Architecture, Task, Trial
from metanas.protocols import SearchSpace
from metanas.strategies.xfernas_paper import XferNASPaperStrategy


class Nao:
    """Implements `metanas.protocols.Strategy`; learns nothing from sources.

    Args:
        round_size, epochs: as in `metanas.strategies.xfernas_paper.XferNASPaperStrategy`.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
        round_size: int = 10,
        epochs: int = 100,
    ) -> None:
        self._alone = XferNASPaperStrategy(
            space=space, seed=seed, round_size=round_size, epochs=epochs
        )

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        return self._alone.propose(trials, task, rng, pending=pending)
