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

FEWEST_ARCHITECTURES = 5
"""Of a task with fewer, a correlation says nothing."""

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


BELIEFS = tuple(Belief(*pair) for pair in itertools.product((0.1, 0.25, 0.5), (1.0, 2.0, 4.0, 8.0)))
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
    normal: NDArray[np.float64],
    predicted: NDArray[np.float64],
    tasks: Mapping[str, Task],
    names: Sequence[str],
) -> Belief:
    """The belief under which each task's scores are best foretold by what the others predict.

    It departs from the usual one only where that gains more than a standard error over the
    tasks, to the one that gains most beyond it: the highest mean may be a few tasks' alone.

    Why predictions of the others and not their scores: of noisy scores the mean of many is
    best, far ones among them. A prediction has little of that noise left, and what is
    weighed with these weights are predictions. With each of 16 tasks of images left out,
    Kendall's tau of `metanas.predictors.tapas` was 0.59 so, and 0.57 by their scores, both
    measured when the reference had 11,089 trials of NAS-Bench-201's cells.

    Args:
        normal: normal scores, NaN where not measured; shape (t, architectures).
        predicted: scores as each task's own predictor gives them, on one scale; likewise.
        tasks: as in `trust`.
        names: of the t tasks.
    """
    usual = Belief()
    if len(names) < FEWEST_TASKS:
        return usual
    rows = np.unique(np.linspace(0, len(names) - 1, MOST_TASKS).round().astype(int))
    kept = [names[row] for row in rows]
    found = [_foretold(row, normal[rows], predicted[rows], tasks, kept) for row in range(len(kept))]
    qualities = np.array([each for each in found if each is not None])
    if len(qualities) < FEWEST_TASKS:
        return usual
    gains = qualities - qualities[:, [BELIEFS.index(usual)]]
    surely = gains.mean(axis=0) - gains.std(axis=0, ddof=1) / np.sqrt(len(gains))
    best = int(surely.argmax())
    return BELIEFS[best] if surely[best] > 0 else usual


def _foretold(
    row: int,
    normal: NDArray[np.float64],
    predicted: NDArray[np.float64],
    tasks: Mapping[str, Task],
    names: Sequence[str],
) -> list[float] | None:
    """Correlation of one task's scores with the others' weighed predictions, by belief."""
    others = [other for other in range(len(names)) if other != row]
    measured = np.isfinite(normal[row])
    target = normal[row, measured]
    if measured.sum() < FEWEST_ARCHITECTURES or target.std() == 0:
        return None
    record = tasks.get(names[row], Task.table(names[row]))
    near = _near(record, tasks, [names[other] for other in others])
    scores = predicted[others][:, measured]
    found = []
    for belief in BELIEFS:
        weighed = _weights(near, belief) @ scores
        varies = weighed.std() > 0
        found.append(float(np.corrcoef(weighed, target)[0, 1]) if varies else 0.0)
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
