"""Which architectures to try first: the best predicted, hedged where the sources disagree.

The k architectures of highest mean are often k times the same bet. Where source tasks
rank architectures differently, nobody knows which the new one resembles, and the first
few recommendations should hold one for each likely answer. So the first is the best on
average; each further one adds most to the expected best of the set, over scenarios of
how the scores may turn out (the greedy form of batch expected improvement).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Architecture, Task
from metanas.protocols import Predictor

SCENARIOS = 64
HEDGED = 32
"""So many places of the list are hedged; the rest follow by mean."""


@runtime_checkable
class SeesScenarios(Protocol):
    """A predictor that can say how the scores may turn out together."""

    def scenarios(
        self, architectures: Sequence[Architecture], task: Task, *, n: int, seed: int
    ) -> NDArray[np.float32]:
        """Equally likely scores on one scale, shape (n, architectures)."""
        ...


def recommend(
    predictor: Predictor,
    architectures: Sequence[Architecture],
    task: Task,
    k: int,
    *,
    seed: int = 0,
) -> list[int]:
    """Positions of the k architectures to try first, in that order.

    Args:
        predictor: fitted; one that does not see scenarios is followed by its mean.
        architectures: candidates, each once; k or all of them are returned.
        seed: of the scenarios.

    Raises:
        ValueError: k is less than 1, or as `Predictor.predict`.
    """
    if k < 1:
        raise ValueError(f"need at least one recommendation, got {k}")
    if not architectures:
        return []
    mean = predictor.predict(architectures, task).mean
    by_mean: list[int] = np.argsort(-mean, kind="stable").tolist()
    if not isinstance(predictor, SeesScenarios):
        return by_mean[:k]
    scores = predictor.scenarios(architectures, task, n=SCENARIOS, seed=seed)
    chosen = _hedged(scores, by_mean[0], min(k, HEDGED, len(by_mean)))
    taken = set(chosen)
    return (chosen + [i for i in by_mean if i not in taken])[:k]


def _hedged(scores: NDArray[np.float32], first: int, k: int) -> list[int]:
    chosen = [first]
    best = scores[:, first].copy()
    while len(chosen) < k:
        gain = np.maximum(scores, best[:, None]).mean(axis=0)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
        best = np.maximum(best, scores[:, chosen[-1]])
    return chosen
