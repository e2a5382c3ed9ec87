"""How much each source task is believed when predicting for another one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Task
from tasks.similarity import nearest

OWN_TRIALS = 20.0
"""With this many trials of its own a task is believed as much as all others together."""

FEWEST_TASKS = 4
"""Fewer tell nothing about how far similarity goes."""

FEWEST_SHARED = 5
"""Architectures that a task and its fellows must share for a correlation to count."""

MOST_TASKS = 40
"""So many, evenly chosen, speak for all: the time grows with the square of them."""


@dataclass(frozen=True)
class Belief:
    """How far similar data are believed to rank architectures alike.

    Attributes:
        even: share of the trust that all tasks divide evenly, in [0, 1].
        sharpness: power of the similarity weights in the other share; the higher, the
            fewer near tasks get it.
    """

    even: float = 0.5
    sharpness: float = 2.0


BELIEFS = tuple(Belief(*pair) for pair in itertools.product((0.25, 0.5), (1.0, 2.0, 4.0, 8.0)))
"""Those tried. Some trust always stays even: a new task may be far from all of them."""


def trust(
    task: Task,
    tasks: Mapping[str, Task],
    sources: Sequence[str],
    n_own: int,
    belief: Belief = Belief(),
) -> NDArray[np.float64]:
    """Weights of the sources, in their order; they sum to 1.

    Args:
        tasks: records by name; a source that is not among them is known by its trials.
        sources: names of the tasks learned from, the task itself possibly among them.
        n_own: how many of the trials learned from are the task's own.
    """
    others = [name for name in sources if name != task.name]
    weights = dict.fromkeys(sources, 0.0)
    if others:
        near = _near(task, tasks, others)
        weights.update(zip(others, _weights(near, belief).tolist(), strict=True))
    if len(others) < len(sources):
        own = n_own / (n_own + OWN_TRIALS) if others else 1.0
        weights = {name: (1.0 - own) * weight for name, weight in weights.items()}
        weights[task.name] = own
    total = sum(weights.values())
    return np.array([weights[name] / total for name in sources])


def learn_belief(
    normal: NDArray[np.float64], tasks: Mapping[str, Task], names: Sequence[str]
) -> Belief:
    """The belief under which each task's scores are best foretold by the others' weighted ones.

    It departs from the usual one only where that gains more than two standard errors over
    the tasks, to the one that gains most beyond them: the highest mean may be a few tasks' alone.

    Args:
        normal: normal scores, NaN where not measured; shape (t, architectures).
        tasks: as in `trust`.
        names: of the t tasks.
    """
    usual = Belief()
    if len(names) < FEWEST_TASKS:
        return usual
    rows = np.unique(np.linspace(0, len(names) - 1, MOST_TASKS).round().astype(int))
    kept = [names[row] for row in rows]
    found = [_foretold(row, normal[rows], tasks, kept) for row in range(len(kept))]
    qualities = np.array([each for each in found if each is not None])
    if len(qualities) < FEWEST_TASKS:
        return usual
    gains = qualities - qualities[:, [BELIEFS.index(usual)]]
    surely = gains.mean(axis=0) - 2.0 * gains.std(axis=0, ddof=1) / np.sqrt(len(gains))
    best = int(surely.argmax())
    return BELIEFS[best] if surely[best] > 0 else usual


def _foretold(
    row: int, normal: NDArray[np.float64], tasks: Mapping[str, Task], names: Sequence[str]
) -> list[float] | None:
    """Correlation of one task's scores with the others' weighted ones under each belief."""
    others = [other for other in range(len(names)) if other != row]
    known = np.isfinite(normal)
    shared = known[row] & known[others].any(axis=0)
    target = normal[row, shared]
    if shared.sum() < FEWEST_SHARED or target.std() == 0:
        return None
    record = tasks.get(names[row], Task.table(names[row]))
    near = _near(record, tasks, [names[other] for other in others])
    scores = np.where(known, normal, 0.0)[others][:, shared]
    found = []
    for belief in BELIEFS:
        weights = _weights(near, belief)
        weighted = weights @ scores / np.maximum(weights @ known[others][:, shared], 1e-9)
        varies = weighted.std() > 0
        found.append(float(np.corrcoef(weighted, target)[0, 1]) if varies else 0.0)
    return found


def _near(task: Task, tasks: Mapping[str, Task], names: Sequence[str]) -> NDArray[np.float64]:
    """Similarity weights of other tasks, in their order; they sum to 1."""
    records = [tasks.get(name, Task.table(name)) for name in names]
    weights = {each.task: each.weight for each in nearest(task, records, len(records))}
    return np.array([weights[name] for name in names])


def _weights(near: NDArray[np.float64], belief: Belief) -> NDArray[np.float64]:
    sharp = (near / near.max()) ** belief.sharpness
    weights: NDArray[np.float64] = (1.0 - belief.even) * sharp / sharp.sum()
    return weights + belief.even / len(near)
