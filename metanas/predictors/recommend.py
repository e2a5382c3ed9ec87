"""Which architectures to try first: the best predicted, hedged where the sources disagree.

The k architectures of highest mean are often k times the same bet, so only the first is
chosen by its mean. Where scenarios of how the scores may turn out agree, each further one
adds most to the expected best of the set (the greedy form of batch expected improvement).
Where they disagree, the order among the good says next to nothing about the new task, and
the others are spread over the best tenth: the middle ones of its clusters by structure.

Why spread: on nas-bench-graph, whose tasks rank alike with a mean Kendall tau of 0.2, ten
drawn from the best tenth by the *true* scores of all other tasks beat both the ten first
of that order and ten drawn from all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from metadata_store.records import Architecture, Task
from metanas.protocols import Predictor, SearchSpace

SCENARIOS = 64
HEDGED = 32
"""So many places of the list are hedged; the rest follow by mean."""

AGREEING = 0.75
"""Mean correlation of the scenarios from which on their differences are worth hedging."""

NOTHING = 1e-6
"""An expected gain, in standard deviations of scores, that is only rounding."""

GOOD = 0.1
"""Share of the candidates that count as good where the scenarios disagree."""


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
    space: SearchSpace,
    seed: int = 0,
) -> list[int]:
    """Positions of the k architectures to try first, in that order.

    Args:
        predictor: fitted; one that does not see scenarios is followed by its mean.
        architectures: candidates, each once; k or all of them are returned.
        space: of the architectures; tells how alike they are.
        seed: of the scenarios and clusters.

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
    wanted = min(k, HEDGED, len(by_mean))
    if _agreement(scores) < AGREEING:
        good = np.array(by_mean[1 : max(round(GOOD * len(by_mean)), wanted)], np.int64)
        described = space.describe_all([architectures[i] for i in good])
        chosen = [by_mean[0], *good[_middles(described, wanted - 1, seed)].tolist()]
    else:
        chosen = [by_mean[i] for i in _hedged(scores[:, by_mean], wanted)]
    taken = set(chosen)
    return (chosen + [i for i in by_mean if i not in taken])[:k]


def _middles(described: NDArray[np.float32], k: int, seed: int) -> NDArray[np.int64]:
    """Rows nearest to the centres of k clusters, each once and in order; shape (at most k,)."""
    if k < 1:
        return np.empty(0, np.int64)
    spread = described.std(axis=0)
    standard = (described - described.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    different = len(np.unique(standard, axis=0))
    found = KMeans(min(k, different), n_init=1, random_state=seed).fit(standard)
    return np.unique(found.transform(standard).argmin(axis=0))


def _agreement(scores: NDArray[np.float32]) -> float:
    """Mean correlation between scenarios; 1 where scores do not differ."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred**2).sum(axis=1))
    if len(scores) < 2 or not norms.all():
        return 1.0
    correlation = (centred @ centred.T) / np.outer(norms, norms)
    n = len(scores)
    return float((correlation.sum() - n) / (n * (n - 1)))


def _hedged(scores: NDArray[np.float32], k: int) -> list[int]:
    """Columns, at most k, the first of them first; fewer where no other adds anything.

    Args:
        scores: best mean first, so that of columns that add as much the better one is taken.
    """
    chosen = [0]
    best = scores[:, 0].copy()
    while len(chosen) < k:
        gain = np.maximum(scores, best[:, None]).mean(axis=0) - best.mean()
        add = int(gain.argmax())
        if gain[add] <= NOTHING:
            break
        chosen.append(add)
        best = np.maximum(best, scores[:, add])
    return chosen
