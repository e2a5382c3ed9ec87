"""What a search on a task learns from: the trials of the tasks nearest to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from metadata_store.batch import Trials
from metadata_store.errors import UnknownTask
from metadata_store.records import Task, TrialState
from metadata_store.store import MetadataStore
from tasks.similarity import Neighbour, nearest

LEAST = 5
"""A task with scores of fewer architectures ranks nothing, and is not learned from."""

MOST = 2_000
"""Trials of one task that are learned from; of more, so many are drawn."""


def source_trials(
    store: MetadataStore,
    task: Task,
    space: str,
    *,
    neighbours: int,
    exclude: Sequence[str] = (),
    most: int | None = MOST,
    stopped: bool = False,
) -> tuple[list[Neighbour], Trials]:
    """The nearest other tasks with scores in a space, and their trials; none where there are none.

    Of tasks equally near, as those are that cannot be compared, the ones that tried more
    architectures come first.

    Args:
        neighbours: how many tasks at most.
        exclude: tasks not to learn from.
        most: trials of one task at most; None for all.
        stopped: whether a task's stopped trials count among its scores; see `as_ended`.

    Raises:
        UnknownTask: one to exclude.
    """
    for name in exclude:
        store.task(name)  # a name misspelt would leave its task in, unnoticed
    everything = store.batch(space=space)
    scores = as_ended(everything).scores if stopped else everything.scores
    scored = everything.take(np.isfinite(scores))
    pairs = np.stack([scored.codes("task"), scored.architecture_codes.astype(np.int32)])
    different = np.bincount(np.unique(pairs, axis=1)[0], minlength=len(scored.names("task")))
    names = scored.names("task")
    others = [
        store.task(names[row])
        for row in np.argsort(-different, kind="stable")
        if different[row] >= LEAST and names[row] != task.name and names[row] not in exclude
    ]
    if not others:
        return [], Trials.of([])
    chosen = nearest(task, others, neighbours)
    parts = [_thinned(everything.where(task=neighbour.task), most) for neighbour in chosen]
    return chosen, Trials.concat(parts)


def as_task(store: MetadataStore, task: str | Task) -> Task:
    """The task's record; one of that name and nothing more where the store has none."""
    if isinstance(task, Task):
        return task
    try:
        return store.task(task)
    except UnknownTask:
        return Task.table(task)


def as_ended(trials: Trials) -> Trials:
    """The stopped ones as if they had been completed, with their best values so far.

    That is a lower bound; but a search that stops keenly leaves few others, and what it left
    out says most about what is bad. For what learns from scores only: to what learns from
    curves, a part of one would pass for a whole.
    """
    states = np.array(trials.names("state"), dtype=object)[trials.codes("state")]
    states[trials.stopped] = TrialState.COMPLETED.value
    place = trials.table.schema.get_field_index("state")
    return Trials(trials.table.set_column(place, "state", pa.array(states, pa.string())))


def _thinned(trials: Trials, most: int | None) -> Trials:
    if most is None or len(trials) <= most:
        return trials
    # At random: tables often list a space in an order that an even step would follow.
    return trials.take(np.sort(np.random.default_rng(0).permutation(len(trials))[:most]))
