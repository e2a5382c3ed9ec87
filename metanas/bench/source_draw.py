"""Source metadata for a left-out task: random architectures and their trials elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Architecture
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import SearchSpace
from metanas.spaces import space_of
from metanas.spaces.listed import restricted

log = logging.getLogger(__name__)

FEWEST_SCORED = 10
"""Scored architectures from which on a task is left out in turn where no target is named."""


class LeftOut:
    """One target, its table of scores, and the tasks that may be learned from.

    Scores of several sources do not compare, so the target's are those of its largest source.

    Args:
        trials: of the target and of others, in whatever spaces.
        source_tasks: the others that may be learned from; all by default.

    Attributes:
        architectures: those scored on the target. scores: of them, (n,).
        whole: the space of all trials.
        others: scores of the tasks that may be learned from.

    Raises:
        ValueError: the target has trials in no or several spaces or none with a score, or
            nothing is left to learn from.
    """

    def __init__(
        self, trials: Trials, target: str, source_tasks: Sequence[str] | None = None
    ) -> None:
        own = trials.where(task=target)
        spaces = sorted(own.present("space"))
        if len(spaces) != 1:
            raise ValueError(f"need one space in the trials of {target!r}, got {len(spaces)}")
        batch = trials.where(space=spaces[0])
        if not np.isfinite(own.scores).any():
            raise ValueError(f"need trials of {target!r} with a score, got {len(own)} without")
        self.whole: SearchSpace = space_of(batch)
        table = SourceScores.of(_largest_source(own), self.whole)
        self.target = target
        self.architectures = table.architectures
        self.scores = table.scores[0]
        self._score = dict(zip(table.architectures, table.scores[0].tolist(), strict=True))
        self.metric = table.trials.present("metric")[0]
        names = batch.names("task")
        wanted = [
            name != target and (source_tasks is None or name in source_tasks) for name in names
        ]
        others = batch.take(np.array(wanted)[batch.codes("task")])
        if not np.isfinite(others.scores).any():
            raise ValueError(
                f"need scored trials of another task than {target!r} in {spaces[0]!r}, got none"
            )
        self.others = SourceScores.of(others, self.whole)

    @cached_property
    def space(self) -> SearchSpace:
        """Of the architectures scored on the target."""
        return restricted(self.whole, self.architectures)

    def score(self, architecture: Architecture) -> float:
        """From the table; that of an equivalent architecture where it is not listed itself."""
        found = self._score.get(architecture)
        return self._alike[self.whole.canonical(architecture)] if found is None else found

    def draw(self, n: int, seed: int) -> Trials:
        """As `draw_sources`."""
        return draw_sources(self.others, n, seed)

    @cached_property
    def _alike(self) -> dict[Architecture, float]:
        return {self.whole.canonical(each): score for each, score in self._score.items()}


def _largest_source(own: Trials) -> Trials:
    """The scored trials of the source with scores of most architectures."""
    known = own.take(np.isfinite(own.scores))
    sources = sorted(known.present("source"))
    if len(sources) < 2:
        return known
    sizes = {name: len(np.unique(known.where(source=name).architecture_codes)) for name in sources}
    largest = max(sources, key=lambda name: sizes[name])
    kept = known.where(source=largest)
    log.warning(
        "%s is judged by its %s trials of source %s; %s of other sources are left out",
        known.present("task")[0],
        f"{len(kept):,}",
        largest,
        f"{len(known) - len(kept):,}",
    )
    return kept


def scored(trials: Trials) -> dict[str, int]:
    """How many different architectures each task has scores of; trials of one space."""
    counts = dict.fromkeys(trials.present("task"), 0)
    known = trials.take(np.isfinite(trials.scores))
    for task in known.present("task"):
        own = known.where(task=task)
        # Each by itself: among others, one whose scores are all equal would be left out.
        counts[task] = len(SourceScores.of(own, space_of(own)).architectures)
    return counts


def draw_sources(others: SourceScores, n: int, seed: int) -> Trials:
    """Trials of n random architectures on every task, the same ones as far as it has them."""
    keys = np.array([architecture.key for architecture in others.architectures])
    shuffled = np.argsort(keys)[np.random.default_rng(seed).permutation(len(keys))]
    place = np.empty(len(keys), np.int64)  # of each architecture in the random order
    place[shuffled] = np.arange(len(keys))
    chosen = np.zeros(others.scores.shape, dtype=bool)
    for row, scores in enumerate(others.scores):
        measured = np.flatnonzero(np.isfinite(scores))
        chosen[row, measured[np.argsort(place[measured])][:n]] = True
    batch = others.trials
    row_of = {name: row for row, name in enumerate(others.tasks)}
    rows = np.array([row_of.get(name, -1) for name in batch.names("task")])
    return batch.take(chosen[rows[batch.codes("task")], others.columns])
