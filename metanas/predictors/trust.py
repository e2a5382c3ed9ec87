"""How much each source task is believed when predicting for another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Task
from tasks.similarity import nearest

EVEN = 0.5
"""Share of the trust that all tasks divide evenly: similar data need not mean similar ranks."""

SHARPNESS = 2.0
"""Power of the similarity weights in the other share, which only near tasks are to get."""

OWN_TRIALS = 20.0
"""With this many trials of its own a task is believed as much as all others together."""


def trust(
    task: Task, tasks: Mapping[str, Task], sources: Sequence[str], n_own: int
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
        records = [tasks.get(name, Task.table(name)) for name in others]
        near = {n.task: n.weight**SHARPNESS for n in nearest(task, records, len(records))}
        total = sum(near.values())
        for name in others:
            weights[name] = (1.0 - EVEN) * near[name] / total + EVEN / len(others)
    if len(others) < len(sources):
        own = n_own / (n_own + OWN_TRIALS) if others else 1.0
        weights = {name: (1.0 - own) * weight for name, weight in weights.items()}
        weights[task.name] = own
    total = sum(weights.values())
    return np.array([weights[name] / total for name in sources])
