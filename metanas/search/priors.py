"""What to try first: the best architectures of the nearest tasks, not ten near-twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import SearchSpace
from metanas.search.asked import asked
from metanas.search.storage import patiently

GOOD = 0.1
"""Share of the architectures that count as good."""

FEWEST = 30
"""So many at least count as good."""

APART = 0.5
"""Priors are at least this far apart, in units of the mean distance between good ones."""


def best_sources(
    sources: Trials, space: SearchSpace, weights: Mapping[str, float], count: int
) -> list[Architecture]:
    """Good architectures of other tasks, best first and no two much alike.

    Args:
        sources: trials of other tasks in the space.
        weights: how much each task counts.
        count: how many at most.
    """
    if count < 1 or not np.isfinite(sources.scores).any():
        return []
    scores = SourceScores.of(sources, space)
    weight = np.array([weights.get(task, 0.0) for task in scores.tasks])  # (tasks,)
    # One not measured on a task is taken for average there, which normal scores have at 0.
    mean = weight @ np.nan_to_num(scores.normal)
    order = np.argsort(-mean, kind="stable")[: max(FEWEST, round(GOOD * len(mean)))]
    good = [scores.architectures[i] for i in order]
    chosen = _spread(_standard(space.describe_all(good)), count)
    return [good[i] for i in chosen]


def enqueue(study: optuna.Study, space: SearchSpace, priors: Sequence[Architecture]) -> None:
    """Puts architectures at the front of a study."""
    for each in priors:
        answers = dict(asked(space, each))
        patiently(lambda answers=answers: study.enqueue_trial(answers, skip_if_exists=True))  # type: ignore[misc]


def _spread(described: NDArray[np.float64], count: int) -> list[int]:
    """Rows in order, passing over those near an earlier one, as long as there are enough."""
    apart = np.sqrt(((described[:, None] - described[None]) ** 2).sum(axis=2))
    others = apart[np.triu_indices(len(apart), 1)]
    least = APART * float(others.mean()) if len(others) else 0.0
    chosen: list[int] = []
    while len(chosen) < min(count, len(described)):
        free = [i for i in range(len(described)) if i not in chosen]
        far = [i for i in free if all(apart[i, j] > least for j in chosen)]
        if not far:
            least /= 2
            if least < 1e-9:
                chosen += free[: count - len(chosen)]
            continue
        chosen.append(far[0])
    return chosen


def _standard(described: NDArray[np.float32]) -> NDArray[np.float64]:
    values = described.astype(np.float64)
    spread = values.std(axis=0)
    standard: NDArray[np.float64] = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return standard
