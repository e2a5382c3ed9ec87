"""How good are zero-shot recommendations? Predictors compared on a task whose trials are hidden.

For every seed N random architectures are drawn; their trials on all other tasks are the
source metadata, the same architectures on each task as far as it has them. A method then
ranks all architectures of the target, whose scores are used only to judge it.

A task known only by its trials has no images to characterise. There the DCN is, as in
TAPAS, the score of one landmark architecture: the best of the sources by mean rank.
Measuring it on the target is one evaluation, so it takes the first place among the picks
of the methods that use a DCN. Where the sources rank architectures alike it matters
little which is believed, and nothing is measured.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.bench.rank_agreement import rank_agreement
from metanas.bench.source_draw import LeftOut
from metanas.predictors import PREDICTORS
from metanas.predictors.recommend import recommend
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import Predictor, SearchSpace

METHODS = (
    "tapas",
    "tapas_paper",
    "portfolio",
    "nearest_task",
    "random_forest",
    "gradient_boosting",
    "random",
)
CHARACTERISING = frozenset({"tapas", "tapas_paper", "nearest_task"})
"""Methods that use a DCN."""

AGREEMENT = 0.5
"""Mean rank correlation of the sources from which on the target needs no DCN."""

PICKS = (1, 5, 10)
"""Regret is that of the best of so many first recommendations."""


def bench_zero_shot(
    trials: Trials,
    target: str | Sequence[str],
    *,
    sources: int = 200,
    seeds: int = 10,
    methods: Sequence[str] = METHODS,
    tasks: Mapping[str, Task] | None = None,
    landmark: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compares predictors on one or more left-out tasks.

    Args:
        trials: of the targets and of at least one other task in the same space.
        target: the task left out; of several each is left out in turn.
        sources: architectures drawn from each other task.
        seeds: repetitions with other draws, from seed 0.
        methods: keys of `metanas.predictors.PREDICTORS`.
        tasks: records by name, where they are more than tables.
        landmark: whether tasks without a DCN get the landmark's score; by default where
            the sources drawn disagree.
        progress: called with the number of fits done and to do.

    Returns:
        ``methods``: for each method ``regret_top1``, ``regret_top5`` and ``regret_top10``
        (percentage points, or the score's unit where scores leave [0, 1]), ``spearman``,
        ``kendall``, ``seconds`` (fit and ranking), each a mean over seeds and targets,
        and ``std``, the standard deviation over seeds of every one. ``targets``: the same
        for each target by itself, with ``per_seed`` values. ``evaluations`` is one of
        these numbers: how often the target was trained on for its DCN.

    Raises:
        ValueError: an unknown method or target, no other task, too few of anything.
    """
    targets = [target] if isinstance(target, str) else list(dict.fromkeys(target))
    _check(trials, targets, sources, seeds, methods)
    todo, done = len(targets) * seeds * len(methods), 0
    by_target: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name in targets:
        rows = by_target[name] = {method: {} for method in methods}
        left_out = _LeftOut(trials, name, dict(tasks or {}), landmark)
        for seed in range(seeds):
            drawn = left_out.draw(sources, seed)
            for method in methods:
                characterised = method in CHARACTERISING and drawn.mark is not None
                measured = left_out.judge(_made(method, left_out.space, seed), drawn, characterised)
                for key, value in measured.items():
                    rows[method].setdefault(key, []).append(value)
                done += 1
                if progress is not None:
                    progress(done, todo)
    return {
        "methods": {
            method: _summary([by_target[name][method] for name in targets]) for method in methods
        },
        "targets": {
            name: {
                method: {**_summary([rows]), "per_seed": rows} for method, rows in methods_.items()
            }
            for name, methods_ in by_target.items()
        },
        "sources": sources,
        "seeds": seeds,
    }


@dataclass(frozen=True)
class _Drawn:
    """What a method may know for one seed.

    Attributes:
        known: source trials.
        tasks: records of all tasks, without DCN where there are no data.
        characterised: the same with the landmark's scores as DCN.
        mark: the landmark's place among the candidates, None where there is none.
    """

    known: Trials
    tasks: Mapping[str, Task]
    characterised: Mapping[str, Task]
    mark: int | None


class _LeftOut:
    """One target and the tasks it is predicted from."""

    def __init__(
        self, trials: Trials, target: str, tasks: Mapping[str, Task], landmark: bool | None
    ) -> None:
        self._data = LeftOut(trials, target)
        # The whole one: sources may have measured what the target's table lacks.
        self.space: SearchSpace = self._data.whole
        self._candidates, self._scores = self._data.architectures, self._data.scores
        self._target = tasks.get(target, Task.table(target))
        self._tasks = {name: tasks.get(name, Task.table(name)) for name in self._data.others.tasks}
        self._landmark = landmark

    def draw(self, n: int, seed: int) -> _Drawn:
        """The source trials of this seed, and the landmark where one is wanted."""
        known = self._data.draw(n, seed)
        tasks = {**self._tasks, self._target.name: self._target}
        sources = SourceScores.of(known, self.space)
        wanted = self._landmark
        if wanted is None:
            wanted = self._target.dcn is None and _agreement(sources.normal) < AGREEMENT
        mark, characterised = self._characterised(sources, tasks) if wanted else (None, tasks)
        return _Drawn(known, tasks, characterised, mark)

    def judge(self, predictor: Predictor, drawn: _Drawn, characterised: bool) -> dict[str, float]:
        """How well one predictor does."""
        tasks = drawn.characterised if characterised else drawn.tasks
        others = {name: task for name, task in tasks.items() if name != self._target.name}
        target = tasks[self._target.name]
        started = time.perf_counter()
        predictor.fit(drawn.known, others)
        order = recommend(predictor, self._candidates, target, max(PICKS), space=self.space)
        seconds = time.perf_counter() - started
        # To be judged by; what recommends has asked for itself.
        mean = predictor.predict(self._candidates, target).mean
        if characterised and drawn.mark is not None:
            order = [drawn.mark, *(i for i in order if i != drawn.mark)]
        inside = self._scores.min() >= 0.0 and self._scores.max() <= 1.0
        unit = 100.0 if inside else 1.0
        picked = self._scores[order]
        return {
            **{
                f"regret_top{k}": unit * float(self._scores.max() - picked[:k].max()) for k in PICKS
            },
            **rank_agreement(mean, self._scores),
            "seconds": seconds,
            "evaluations": float(characterised),
        }

    def _characterised(
        self, sources: SourceScores, tasks: Mapping[str, Task]
    ) -> tuple[int | None, Mapping[str, Task]]:
        """The landmark among the candidates, and tasks with its score as DCN."""
        place = {architecture.key: i for i, architecture in enumerate(self._candidates)}
        known = np.isfinite(sources.scores)
        ranks = np.where(known, sources.normal, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        for column in np.lexsort((-ranks, -known.sum(axis=0))):
            mark = place.get(sources.architectures[column].key)
            if mark is not None:
                scores = dict(zip(sources.tasks, sources.scores[:, column].tolist(), strict=True))
                scores[self._target.name] = float(self._scores[mark])
                return mark, {name: _with_dcn(task, scores) for name, task in tasks.items()}
        return None, tasks


def _with_dcn(task: Task, scores: Mapping[str, float]) -> Task:
    score = scores.get(task.name, np.nan)
    return replace(task, dcn=score) if task.dcn is None and 0.0 <= score <= 1.0 else task


def _agreement(normal: NDArray[np.float64]) -> float:
    """Mean correlation of the tasks' normal scores on what both measured; 1 for one task."""
    found = []
    for one, other in combinations(normal, 2):
        both = np.isfinite(one) & np.isfinite(other)
        if both.sum() > 2 and one[both].std() > 0 and other[both].std() > 0:
            found.append(np.corrcoef(one[both], other[both])[0, 1])
    return float(np.mean(found)) if found else 1.0


def _check(
    trials: Trials, targets: Sequence[str], sources: int, seeds: int, methods: Sequence[str]
) -> None:
    present = trials.present("task")
    for name in targets:
        if name not in present:
            raise ValueError(f"no trials of target {name!r}; there are {', '.join(present)}")
    for method in methods:
        if method not in PREDICTORS:
            raise ValueError(f"unknown method {method!r}; there are {', '.join(PREDICTORS)}")
    if not targets or not methods or sources < 2 or seeds < 1:
        raise ValueError(
            f"need a target, a method, at least 2 sources and 1 seed, got {len(targets)} "
            f"targets, {len(methods)} methods, {sources} sources and {seeds} seeds"
        )


def _made(method: str, space: SearchSpace, seed: int) -> Predictor:
    make = PREDICTORS[method]
    seeded = "seed" in inspect.signature(make).parameters
    return make(space=space, seed=seed) if seeded else make(space=space)


def _summary(rows: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """Means over targets and seeds, and spreads over seeds of the means over targets."""
    values = {key: np.mean([row[key] for row in rows], axis=0) for key in rows[0]}  # (seeds,)
    summary: dict[str, Any] = {key: float(value.mean()) for key, value in values.items()}
    summary["std"] = {
        key: float(value.std(ddof=1)) if len(value) > 1 else 0.0 for key, value in values.items()
    }
    return summary
