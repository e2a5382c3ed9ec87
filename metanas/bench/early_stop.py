"""How early can a run be stopped? Rankers of learning curves and pruners compared.

For every seed the architectures are split: finished runs of some, on the source tasks, are
what a method learns from; the target's runs are of others. It then ranks the target's
runs by their first points, and stops runs of searches that take them in random order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.bench.curve_baselines import CURVE_METHODS
from metanas.bench.curve_baselines.target import Ints, Setting, Target
from metanas.rankers.curve_table import OUTCOMES
from metanas.spaces import space_of

LENGTHS = (1, 2, 5, 10, 20)
"""Points observed when runs are ranked."""

Row = dict[str, float]


def bench_early_stop(
    trials: Trials,
    target: str | Sequence[str] | None = None,
    *,
    sources: int = 200,
    runs: int = 200,
    seeds: int = 1,
    orders: int = 20,
    methods: Sequence[str] | None = None,
    outcome: str = "final",
    tasks: Mapping[str, Task] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compares methods on tasks and architectures that they have not learned from.

    Args:
        trials: whole runs of the targets and of other tasks in one space.
        target: one or more tasks, left out together; by default every task in turn.
        sources: architectures whose runs on each other task are learned from.
        runs: of the target, of other architectures, one of each.
        seeds: other draws of both, from seed 0.
        orders: searches through the target's runs for each seed.
        methods: keys of `CURVE_METHODS`, by default all.
        outcome: what a run comes to: its "final" value, or its best, its "score".
        progress: called with the number of methods done and to do.

    Returns:
        ``ranking``: for each method that ranks, by points observed, ``spearman`` and
        ``kendall`` with the outcome. ``stopping``: for each that stops, at its own threshold
        ``regret`` (percentage points, or the metric's unit where values leave [0, 1]: see
        ``unit``), ``epochs_share``, ``lost`` (share of searches whose best run was stopped),
        ``threshold``, and ``tradeoff``, the same at each of its thresholds. All are means
        over seeds, targets and searches. ``targets``: the same for each target.
        ``seconds``: of learning, for each method.

    Raises:
        ValueError: an unknown method or target, no other task, too few of anything.
    """
    chosen = list(CURVE_METHODS) if methods is None else list(dict.fromkeys(methods))
    every = sorted(trials.present("task"))
    asked = every if target is None else [target] if isinstance(target, str) else target
    targets = list(dict.fromkeys(asked))
    _check(trials, targets, chosen, sources, runs, seeds, orders, outcome)
    # Left out together while others remain, else each in turn.
    together = len(targets) < len(every)
    groups = [targets] if together else [[name] for name in targets]
    todo, done = len(groups) * seeds * len(chosen), 0
    ranked: dict[str, dict[str, list[dict[str, Row]]]] = {}
    stopped: dict[str, dict[str, list[list[Row]]]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in range(seeds):
        for group in groups:
            split = _Split.of(trials, group, sources, runs, orders, seed, outcome, tasks or {})
            for method in chosen:
                started = time.perf_counter()
                made = CURVE_METHODS[method](space=split.space, seed=seed, outcome=outcome)
                made.fit(split.known, split.tasks)
                seconds.setdefault(method, []).append(time.perf_counter() - started)
                for each, order in split.targets:
                    name = each.task.name
                    row = {
                        str(length): _agreement(score, each)
                        for length in LENGTHS
                        if length < each.positions
                        and (score := made.rank(each, length)) is not None
                    }
                    if row:
                        ranked.setdefault(method, {}).setdefault(name, []).append(row)
                    settings = [_judged(setting, each, order) for setting in made.stop(each, order)]
                    if settings:
                        stopped.setdefault(method, {}).setdefault(name, []).append(settings)
                done += 1
                if progress is not None:
                    progress(done, todo)
    finite = trials.flat_values[np.isfinite(trials.flat_values)]
    inside = bool(finite.min() >= 0.0 and finite.max() <= 1.0)
    unit = 100.0 if inside else 1.0
    return {
        "ranking": {method: _ranking(_all(rows)) for method, rows in ranked.items()},
        "stopping": {method: _stopping(_all(rows), unit) for method, rows in stopped.items()},
        "targets": {
            name: {
                "ranking": {m: _ranking(rows[name]) for m, rows in ranked.items()},
                "stopping": {m: _stopping(rows[name], unit) for m, rows in stopped.items()},
            }
            for name in targets
        },
        "seconds": {method: float(np.mean(values)) for method, values in seconds.items()},
        "unit": "percentage points" if inside else trials.present("metric")[0],
        "outcome": outcome,
        "sources": sources,
        "runs": runs,
        "seeds": seeds,
        "orders": orders,
    }


@dataclass(frozen=True)
class _Split:
    """One seed's division of tasks and architectures.

    Attributes:
        known: source trials. tasks: their records.
        targets: with the orders of their runs.
    """

    space: Any
    known: Trials
    tasks: dict[str, Task]
    targets: list[tuple[Target, Ints]]

    @classmethod
    def of(
        cls,
        trials: Trials,
        targets: Sequence[str],
        sources: int,
        runs: int,
        orders: int,
        seed: int,
        outcome: str,
        tasks: Mapping[str, Task],
    ) -> _Split:
        usable = trials.take(~trials.stopped & (trials.lengths > 0))
        keys = np.array([architecture.key for architecture in usable.architectures])
        rng = np.random.default_rng(seed)
        drawn = np.argsort(keys)[rng.permutation(len(keys))]
        place = np.empty(len(keys), np.int64)
        place[drawn] = np.arange(len(keys))
        position = place[usable.architecture_codes]
        names = usable.names("task")
        codes = usable.codes("task")
        held = np.isin(codes, [names.index(name) for name in targets])
        known = usable.take(~held & (position < sources))
        found = []
        for name in targets:
            own = np.flatnonzero((codes == names.index(name)) & (position >= sources))
            # A search trains an architecture once: of repeated trainings the first seed's.
            own = own[np.lexsort((usable.seeds[own], position[own]))]
            own = own[np.unique(position[own], return_index=True)[1]][:runs]
            if len(own) < min(runs, 10):
                raise ValueError(
                    f"need {runs} runs of {name!r} beside the {sources} sources, got {len(own)}"
                )
            shuffled = np.stack([rng.permutation(len(own)) for _ in range(orders)])
            record = tasks.get(name, Task.table(name))
            found.append((Target.of(record, usable.take(own), outcome), shuffled))
        records = {name: tasks.get(name, Task.table(name)) for name in known.present("task")}
        return cls(space_of(usable), known, records, found)


def _agreement(score: Any, target: Target) -> Row:
    truth = np.where(np.isfinite(target.final), target.final, -1e300)
    guess = np.nan_to_num(np.asarray(score, np.float64), neginf=-1e300, posinf=1e300)
    if np.ptp(truth) == 0 or np.ptp(guess) == 0:
        return {"spearman": 0.0, "kendall": 0.0}
    return {
        "spearman": float(spearmanr(guess, truth).statistic),
        "kendall": float(kendalltau(guess, truth).statistic),
    }


def _judged(setting: Setting, target: Target, orders: Ints) -> Row:
    """One threshold's searches on one target."""
    whole = setting.lengths >= target.positions
    finite = target.final[np.isfinite(target.final)]
    floor = float(finite.min()) if len(finite) else 0.0
    final = np.maximum(np.where(np.isfinite(target.final), target.final, floor), floor)
    kept = np.where(whole, final, floor).max(axis=1)
    return {
        "threshold": setting.threshold,
        "regret": float((final.max() - kept).mean()),
        "epochs_share": float(setting.lengths.mean() / target.positions),
        "lost": float((kept < final.max()).mean()),
        "chosen": float(setting.chosen),
    }


def _all(rows: Mapping[str, list[Any]]) -> list[Any]:
    return [each for found in rows.values() for each in found]


def _ranking(rows: Sequence[Mapping[str, Row]]) -> dict[str, Row]:
    return {
        length: {key: float(np.mean([row[length][key] for row in rows])) for key in rows[0][length]}
        for length in rows[0]
    }


def _stopping(rows: Sequence[Sequence[Row]], unit: float) -> dict[str, Any]:
    """Means of every threshold; the chosen one in front."""
    curve = []
    for column in zip(*rows, strict=True):
        mean = {key: float(np.mean([row[key] for row in column])) for key in column[0]}
        mean["regret"] *= unit
        curve.append(mean)
    own = next((each for each in curve if each["chosen"]), curve[0])
    points = [{key: each[key] for key in each if key != "chosen"} for each in curve]
    front = {key: own[key] for key in ("regret", "epochs_share", "lost", "threshold")}
    return {**front, "tradeoff": points}


def _check(
    trials: Trials,
    targets: Sequence[str],
    methods: Sequence[str],
    sources: int,
    runs: int,
    seeds: int,
    orders: int,
    outcome: str,
) -> None:
    present = trials.present("task")
    for name in targets:
        if name not in present:
            raise ValueError(f"no trials of target {name!r}; there are {', '.join(present)}")
    for method in methods:
        if method not in CURVE_METHODS:
            raise ValueError(f"unknown method {method!r}; there are {', '.join(CURVE_METHODS)}")
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
    if not targets or not methods or sources < 1 or runs < 2 or seeds < 1 or orders < 1:
        raise ValueError(
            f"need a target, a method, a source, two runs, a seed and an order, got "
            f"{len(targets)} targets, {len(methods)} methods, {sources} sources, {runs} runs, "
            f"{seeds} seeds and {orders} orders"
        )
    if len(present) < 2:
        raise ValueError(f"need trials of another task than {targets[0]!r}")
