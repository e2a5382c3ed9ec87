"""How soon does a search find what is best? Strategies replayed on a task's complete table.

For every seed N random architectures are drawn; their trials on all other tasks are what a
strategy may learn from, the same architectures on each task as far as it has them. Then it
proposes one architecture at a time and is told its score from the target's table. Regret is
how far the best so far is from the best in the table.

Methods are compared on the same draws, so differences are paired by seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from metadata_store.batch import Trials
from metadata_store.records import LearningCurve, Task, Trial, TrialState
from metanas.bench.source_draw import LeftOut
from metanas.protocols import Strategy
from metanas.search.tabular import OptunaStrategy
from metanas.strategies import STRATEGIES

METHODS: dict[str, Callable[..., Strategy]] = {
    **STRATEGIES,
    "tpe": partial(OptunaStrategy, sampler="tpe"),
    "gp": partial(OptunaStrategy, sampler="gp"),
}
"""Strategies and, beside them, samplers of Optuna."""

DEFAULT = (
    "random",
    "evolution",
    "tpe",
    "portfolio",
    "random-forest",
    "nao",
    "xfernas-paper",
    "xfernas",
)
CHECKPOINTS = (1, 5, 10, 20, 33, 50, 100)
"""Regret is told after so many evaluations, and at the end."""

REFERENCES = ("nao", "random", "tpe")
"""Methods every other one is compared with."""

CONFIDENCE = 0.95


def bench_warm_start(
    trials: Trials,
    target: str | Sequence[str],
    *,
    sources: int = 200,
    budget: int = 100,
    seeds: int = 20,
    methods: Sequence[str] = DEFAULT,
    source_tasks: Sequence[str] | None = None,
    tasks: Mapping[str, Task] | None = None,
    workers: int = 1,
    first_seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compares searches on one or more left-out tasks.

    Args:
        trials: of the targets and of at least one other task in the same space.
        target: the task searched on; of several each in turn.
        sources: architectures drawn from each other task.
        budget: evaluations; fewer where the target's table has fewer architectures.
        seeds: repetitions with other draws.
        methods: keys of `METHODS`.
        source_tasks: tasks that may be learned from; by default all but the target.
        tasks: records by name, where they are more than tables.
        workers: processes that share out targets and seeds.
        first_seed: of the first repetition.
        progress: called with the number of searches done and to do.

    Returns:
        ``methods``: for each method ``regret`` by number of evaluations (percentage points,
        or the score's unit where scores leave [0, 1]), a mean over seeds and targets,
        ``std``, the standard deviation over seeds of it, ``ms_per_suggestion``, and
        ``seconds_to_learn`` from the sources. ``targets``: the same for each target, with
        ``per_seed`` regrets. ``paired``: for each target and method, and each of
        `REFERENCES` among the methods, by number of evaluations the mean ``difference`` of
        regrets (negative: the method is better), its 95 % interval ``low`` to ``high`` and
        the two-sided ``p``, by Student's t.

    Raises:
        ValueError: an unknown method or task, no other task, too few of anything.
    """
    targets = [target] if isinstance(target, str) else list(dict.fromkeys(target))
    _check(trials, [*targets, *(source_tasks or ())], methods)
    if not targets or min(sources - 1, budget, seeds, workers) < 1:
        raise ValueError(
            f"need a target, at least 2 sources, 1 evaluation, 1 seed and 1 worker, got "
            f"{len(targets)} targets, {sources}, {budget}, {seeds} and {workers}"
        )
    job = _Job(trials, tuple(methods), sources, budget, source_tasks, dict(tasks or {}))
    units = [(name, first_seed + seed) for name in targets for seed in range(seeds)]
    total = len(units) * len(methods)
    found: dict[tuple[str, int, str], _Replayed] = {}
    for name, seed, method, replayed in _all_replayed(job, units, workers):
        found[name, seed, method] = replayed
        if progress is not None:
            progress(len(found), total)
    rows = {
        name: {
            method: [found[name, first_seed + seed, method] for seed in range(seeds)]
            for method in methods
        }
        for name in targets
    }
    return {
        "methods": {
            method: _summary([rows[name][method] for name in targets]) for method in methods
        },
        "targets": {
            name: {
                method: {**_summary([each]), "per_seed": _per_seed(each)}
                for method, each in by_method.items()
            }
            for name, by_method in rows.items()
        },
        "paired": {name: _paired(by_method) for name, by_method in rows.items()},
        "sources": sources,
        "budget": budget,
        "seeds": seeds,
    }


@dataclass(frozen=True)
class _Replayed:
    """One search: regret after each evaluation, shape (evaluations,), and what it took."""

    regret: NDArray[np.float64]
    ms_per_suggestion: float
    seconds_to_learn: float


@dataclass(frozen=True)
class _Job:
    """What every worker is to do for its targets and seeds."""

    trials: Trials
    methods: tuple[str, ...]
    sources: int
    budget: int
    source_tasks: Sequence[str] | None
    tasks: Mapping[str, Task]

    def replays(
        self, units: Sequence[tuple[str, int]]
    ) -> Iterator[tuple[str, int, str, _Replayed]]:
        left_out: LeftOut | None = None
        for name, seed in units:
            if left_out is None or left_out.target != name:
                left_out = LeftOut(self.trials, name, self.source_tasks)
            known = left_out.draw(self.sources, seed)
            for method in self.methods:
                yield name, seed, method, self._replay(method, left_out, known, seed)

    def _replay(self, method: str, left_out: LeftOut, known: Trials, seed: int) -> _Replayed:
        task = self.tasks.get(left_out.target, Task.table(left_out.target))
        space = left_out.space  # made once for all, so not part of learning
        started = time.perf_counter()
        strategy = METHODS[method](
            space=space, sources=known, tasks={**self.tasks, task.name: task}, seed=seed
        )
        learned = time.perf_counter()
        rng = np.random.default_rng(seed)
        done: list[Trial] = []
        spent = 0.0
        for _ in range(min(self.budget, len(left_out.scores))):
            asked = time.perf_counter()
            chosen = strategy.propose(done, task, rng)
            spent += time.perf_counter() - asked
            curve = LearningCurve(left_out.metric, (1,), (left_out.score(chosen),))
            done.append(Trial(task.name, chosen, curve, TrialState.COMPLETED, seed, "bench"))
        scores = left_out.scores
        unit = 100.0 if scores.min() >= 0.0 and scores.max() <= 1.0 else 1.0
        reached = np.maximum.accumulate([left_out.score(trial.architecture) for trial in done])
        return _Replayed(
            unit * (scores.max() - reached), 1000.0 * spent / len(done), learned - started
        )


def _all_replayed(
    job: _Job, units: Sequence[tuple[str, int]], workers: int
) -> Iterator[tuple[str, int, str, _Replayed]]:
    if workers == 1:
        yield from job.replays(units)
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_receive, initargs=(job,)
    ) as pool:
        for future in as_completed([pool.submit(_replay_unit, unit) for unit in units]):
            yield from future.result()


_received: list[_Job] = []
"""A worker process's job."""


def _receive(job: _Job) -> None:
    import torch

    torch.set_num_threads(1)
    _received[:] = [job]


def _replay_unit(unit: tuple[str, int]) -> list[tuple[str, int, str, _Replayed]]:
    return list(_received[0].replays([unit]))


def _check(trials: Trials, names: Sequence[str], methods: Sequence[str]) -> None:
    present = trials.present("task")
    for name in names:
        if name not in present:
            raise ValueError(f"no trials of task {name!r}; there are {', '.join(present)}")
    if not methods:
        raise ValueError("need at least one method, got none")
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}")


def _points(rows: Sequence[_Replayed]) -> list[int]:
    """After how many evaluations regret is told."""
    least = min(len(row.regret) for row in rows)
    return sorted({*(k for k in CHECKPOINTS if k <= least), least})


def _per_seed(rows: Sequence[_Replayed]) -> dict[str, list[float]]:
    return {str(k): [float(row.regret[k - 1]) for row in rows] for k in _points(rows)}


def _summary(targets: Sequence[Sequence[_Replayed]]) -> dict[str, Any]:
    """Means over targets and seeds, and spreads over seeds of the means over targets."""
    every = [row for rows in targets for row in rows]
    regret, std = {}, {}
    for k in _points(every):
        means = np.mean([[row.regret[k - 1] for row in rows] for rows in targets], axis=0)
        regret[str(k)] = float(means.mean())
        std[str(k)] = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    return {
        "regret": regret,
        "std": std,
        "ms_per_suggestion": float(np.mean([row.ms_per_suggestion for row in every])),
        "seconds_to_learn": float(np.mean([row.seconds_to_learn for row in every])),
    }


def _paired(rows: Mapping[str, Sequence[_Replayed]]) -> dict[str, Any]:
    """Every method against the references, on one target."""
    return {
        method: {
            reference: {
                str(k): paired_difference(
                    np.array([row.regret[k - 1] for row in rows[method]]),
                    np.array([row.regret[k - 1] for row in rows[reference]]),
                )
                for k in _points([*rows[method], *rows[reference]])
            }
            for reference in REFERENCES
            if reference in rows and reference != method
        }
        for method in rows
    }


def paired_difference(
    one: NDArray[np.float64], other: NDArray[np.float64]
) -> dict[str, float | None]:
    """Mean of one less other, its interval and p; these are None for a single pair."""
    apart = one - other
    mean, n = float(apart.mean()), len(apart)
    if n < 2:
        return {"difference": mean, "low": None, "high": None, "p": None}
    error = float(apart.std(ddof=1)) / n**0.5
    reach = float(student.ppf(0.5 + CONFIDENCE / 2.0, n - 1)) * error
    if error > 0.0:
        p = float(2.0 * student.sf(abs(mean) / error, n - 1))
    else:
        p = 1.0 if mean == 0.0 else 0.0
    return {"difference": mean, "low": mean - reach, "high": mean + reach, "p": p}
