"""Source metadata for a left-out task: random architectures and their trials elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Architecture
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import SearchSpace
from metanas.spaces import space_of
from metanas.spaces.listed import restricted


class LeftOut:
    """One target, its table of scores, and the tasks that may be learned from.

    Args:
        trials: of the target and of others, in whatever spaces.
        source_tasks: the others that may be learned from; all by default.

    Raises:
        ValueError: the target has trials in no or several spaces, or nothing is left to
            learn from.
    """

    def __init__(
        self, trials: Trials, target: str, source_tasks: Sequence[str] | None = None
    ) -> None:
        own = trials.where(task=target)
        spaces = sorted(own.present("space"))
        if len(spaces) != 1:
            raise ValueError(f"need one space in the trials of {target!r}, got {len(spaces)}")
        batch = trials.where(space=spaces[0])
        whole = space_of(batch)
        table = SourceScores.of(own, whole)
        self.target = target
        self.architectures = table.architectures
        self.scores = table.scores[0]
        self._whole = whole
        self._score = dict(zip(table.architectures, table.scores[0].tolist(), strict=True))
        self._alike: dict[Architecture, float] = {
            whole.canonical(each): score for each, score in self._score.items()
        }
        self.metric = table.trials.present("metric")[0]
        self.space: SearchSpace = restricted(whole, table.architectures)
        names = batch.names("task")
        wanted = [
            name != target and (source_tasks is None or name in source_tasks) for name in names
        ]
        others = batch.take(np.array(wanted)[batch.codes("task")])
        if not len(others):
            raise ValueError(f"need trials of another task than {target!r} in {spaces[0]!r}")
        self._others = SourceScores.of(others, whole)

    def score(self, architecture: Architecture) -> float:
        """From the table; that of an equivalent architecture where it is not listed itself."""
        found = self._score.get(architecture)
        return self._alike[self._whole.canonical(architecture)] if found is None else found

    def draw(self, n: int, seed: int) -> Trials:
        """As `draw_sources`."""
        return draw_sources(self._others, n, seed)


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
