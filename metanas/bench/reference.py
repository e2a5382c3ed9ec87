"""What the methods make of real data of our own: each reference task is left out in turn.

A yardstick for every change to a method. Zero-shot, warm start and early stopping are
measured as in their own benchmarks, on the trials that every new store starts with.
Beside them stands how far a score can be trusted: how alike two trainings with other
seeds rank the same architectures, and what follows from it: how well the scores at hand would
be ranked by whoever knew what each architecture comes to on average over all seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.bench.early_stop import bench_early_stop
from metanas.bench.rank_agreement import rank_agreement
from metanas.bench.warm_start import bench_warm_start
from metanas.bench.zero_shot import bench_zero_shot

PARTS = ("zero-shot", "warm-start", "early-stop")

ZERO_SHOT = ("tapas", "portfolio", "random_forest", "nearest_task", "random")
WARM_START = ("xfernas", "portfolio", "tpe", "random")
EARLY_STOP = ("lcranknet", "successive-halving", "median", "none")

BUDGET = 20
"""Evaluations of a search."""

FEWEST = 3
"""Architectures trained with both of two seeds, from which on these are compared."""


def bench_reference(
    trials: Trials,
    tasks: Mapping[str, Task],
    *,
    seeds: int = 3,
    parts: Sequence[str] = PARTS,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> dict[str, Any]:
    """Leaves out every task in turn.

    Args:
        trials: of the same architectures on two tasks at least, in one space.
        tasks: their records, by name.
        seeds: repetitions of zero-shot and warm start; early stopping is measured once,
            over many orders of the runs.
        parts: of `PARTS`.
        progress: called with the steps done and to do in a part, and the part's name.

    Returns:
        The documents of `bench_zero_shot`, `bench_warm_start` and `bench_early_stop` by
        part; with zero-shot also ``better``: for each method on how many tasks its
        Kendall tau is above the portfolio's; and for each task with repeated trainings
        ``repeatability``, Kendall's tau of the scores of two seeds, a mean over all pairs of
        seeds, and ``attainable``, the tau to be expected of a perfect prediction.

    Raises:
        ValueError: an unknown part, or too few tasks or trials.
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}; there are {', '.join(PARTS)}")
    names = sorted(trials.present("task"))
    sources = max(2, min(len(_architectures(trials, name)) for name in names))

    def told(part: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(done, total, part)

    found: dict[str, Any] = {"tasks": len(names), "trials": len(trials), "seeds": seeds}
    if "zero-shot" in parts:
        document = bench_zero_shot(
            trials,
            names,
            sources=sources,
            seeds=seeds,
            methods=ZERO_SHOT,
            tasks=tasks,
            progress=told("zero-shot"),
        )
        alike = {name: tau for name in names if (tau := _repeatability(trials, name)) is not None}
        found["zero-shot"] = {
            **document,
            "better": _better(document["targets"]),
            "repeatability": alike,
            "attainable": {
                name: attainable(
                    tau, len(trials.where(task=name)) / len(_architectures(trials, name))
                )
                for name, tau in alike.items()
            },
        }
    if "warm-start" in parts:
        found["warm-start"] = bench_warm_start(
            trials,
            names,
            sources=sources,
            budget=min(BUDGET, sources),
            seeds=seeds,
            methods=WARM_START,
            tasks=tasks,
            progress=told("warm-start"),
        )
    if "early-stop" in parts:
        found["early-stop"] = bench_early_stop(
            trials,
            names,
            sources=sources // 2,
            runs=sources - sources // 2,
            methods=EARLY_STOP,
            tasks=tasks,
            progress=told("early-stop"),
        )
    return found


def _architectures(trials: Trials, task: str) -> set[str]:
    return {trial.architecture.key for trial in trials.where(task=task)}


def _better(targets: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, int]:
    """On how many tasks each method ranks better than the mean-rank portfolio."""
    methods = [name for name in next(iter(targets.values())) if name != "portfolio"]
    return {
        method: sum(
            rows[method]["kendall"] > rows["portfolio"]["kendall"] for rows in targets.values()
        )
        for method in methods
    }


def _repeatability(trials: Trials, task: str) -> float | None:
    """Kendall's tau of the scores of two seeds, mean of all pairs; None without any."""
    by_seed: dict[int, dict[str, float]] = {}
    for trial in trials.where(task=task):
        if trial.score is not None:
            by_seed.setdefault(trial.seed, {})[trial.architecture.key] = trial.score
    taus, weights = [], []
    for one, other in combinations(by_seed.values(), 2):
        shared = sorted(one.keys() & other.keys())
        if len(shared) >= FEWEST:
            scores = ([each[key] for key in shared] for each in (one, other))
            taus.append(rank_agreement(*scores)["kendall"])
            weights.append(len(shared))
    return float(np.average(taus, weights=weights)) if taus else None


def attainable(repeatability: float, seeds: float) -> float:
    """Kendall's tau of the means of noisy scores with what they are without noise.

    Scores and noise are taken to be normal, so that tau is 2/pi asin(r) of a correlation r:
    that of two seeds is the reliability of one, from which that of a mean follows
    [Spearman-Brown].

    Args:
        repeatability: tau of the scores of two seeds.
        seeds: that each mean is taken over, at least 1.
    """
    one = max(math.sin(math.pi / 2 * repeatability), 0.0)
    mean = seeds * one / (1.0 + (seeds - 1.0) * one)
    return 2.0 / math.pi * math.asin(math.sqrt(mean))
