"""Trials as predictors see them: one score for each task and architecture.

Scores of different tasks are not comparable (accuracies of 60 % and 95 %, negated
losses), their order within a task is. So targets are normal scores: an
architecture's rank among those of its task, put through the normal distribution's
inverse. That resolves the top, which is searched, as finely as the bottom.

Nor are those of different metrics or sources of one task comparable: an accuracy after
12 epochs and one after 200. So of each task one metric counts, ranks are taken
within each source, and the sources are brought to one footing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Trial
from metanas.predictors.footing import Measured, normal_scores, on_one_footing
from metanas.protocols import SearchSpace


@dataclass(frozen=True)
class SourceScores:
    """Scores of n architectures on t tasks, the same whatever the order of the trials.

    Attributes:
        tasks: names, sorted. Those whose scores are all equal rank nothing and are left out,
            unless there are no others.
        architectures: each once, sorted by key.
        scores: means over seeds in each task's largest source, those of its other sources as
            `metanas.predictors.footing` places them there, averaged evenly over the sources that
            measured the architecture; NaN where none did; shape (t, n).
        normal: normal scores likewise; shape (t, n).
        trials: the m trials that count: those with a score in their task's metric,
            which is the one most of its scored trials have, of several the first seen.
        columns: place of each trial's architecture in `architectures`; shape (m,).
    """

    tasks: tuple[str, ...]
    architectures: tuple[Architecture, ...]
    scores: NDArray[np.float64]
    normal: NDArray[np.float64]
    trials: Trials
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, trials: Iterable[Trial], space: SearchSpace) -> SourceScores:
        """Collects the scored trials of a space.

        Raises:
            ValueError: no trial has a score, or some are of another space; or an architecture of
                a task with several sources is none that the space describes.
        """
        batch = Trials.of(trials)
        batch = batch.take(np.isfinite(batch.scores))
        spaces = batch.present("space")
        if spaces != [space.name]:
            raise ValueError(
                f"need trials with a score in space {space.name!r}, "
                f"got {', '.join(map(repr, spaces)) or 'none'}"
            )
        batch = batch.take(_in_main_metric(batch))
        tasks, rows = _ranked(batch, "task")
        sources, from_source = _ranked(batch, "source")
        keys = [architecture.key for architecture in batch.architectures]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        place = np.empty(len(keys), np.int64)
        place[order] = np.arange(len(keys))
        columns = place[batch.architecture_codes]
        architectures = tuple(batch.architectures[i] for i in order)
        n = len(keys)
        group = rows * len(sources) + from_source
        cells, values = _means(group * n + columns, batch.scores)
        parts: list[list[Measured]] = [[] for _ in tasks]
        starts = np.flatnonzero(np.diff(cells // n, prepend=-1))
        for part, scores in zip(
            np.split(cells, starts[1:]), np.split(values, starts[1:]), strict=True
        ):
            measured = Measured(part % n, scores, normal_scores(scores))
            parts[int(part[0]) // n // len(sources)].append(measured)
        flat = np.array([all(not each.normal.any() for each in own) for own in parts])
        if flat.any() and not flat.all():
            return cls.of(batch.take(~flat[rows]), space)

        def describe(columns: NDArray[np.int64]) -> NDArray[np.float32]:
            return space.describe_all([architectures[column] for column in columns.tolist()])

        table = [_merged(on_one_footing(own, describe), n) for own in parts]
        return cls(
            tasks=tuple(tasks),
            architectures=architectures,
            scores=np.array([scores for scores, _ in table]),
            normal=np.array([normal for _, normal in table]),
            trials=batch,
            columns=columns,
        )


def _merged(parts: Sequence[Measured], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over the sources of scores and normal scores, NaN where not measured; (n,) each."""
    columns = np.concatenate([part.columns for part in parts])
    merged = []
    for values in ([part.scores for part in parts], [part.normal for part in parts]):
        row = np.full(n, np.nan)
        found, means = _means(columns, np.concatenate(values))
        row[found] = means
        merged.append(row)
    return merged[0], merged[1]


def _in_main_metric(batch: Trials) -> NDArray[np.bool_]:
    """Which rows have the metric most rows of their task have; shape (m,)."""
    n_metrics = len(batch.names("metric"))
    pairs = batch.codes("task").astype(np.int64) * n_metrics + batch.codes("metric")
    found, first, counts = np.unique(pairs, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts, found // n_metrics))
    heads = np.flatnonzero(np.diff(found[order] // n_metrics, prepend=-1))
    return np.isin(pairs, found[order[heads]])


def _ranked(batch: Trials, column: str) -> tuple[list[str], NDArray[np.int64]]:
    """The sorted names in an encoded column, and each row's place among them."""
    present = sorted(batch.present(column))
    place = {name: i for i, name in enumerate(present)}
    places = np.array([place.get(name, -1) for name in batch.names(column)], np.int64)
    return present, places[batch.codes(column)]


def _means(
    cells: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The distinct cells in ascending order, and the mean of each one's values.

    They are summed in ascending order, so the order given makes no difference.
    """
    order = np.lexsort((values, cells))
    found, starts, counts = np.unique(cells[order], return_index=True, return_counts=True)
    return found, np.add.reduceat(values[order], starts) / counts
