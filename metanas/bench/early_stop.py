"""How early can a run be stopped? Rankers of learning curves and pruners compared.

For every seed the architectures are split: finished runs of some, on the source tasks, are
what a method learns from; the target's runs are of others. It then ranks the target's
runs by their first points, and stops runs of searches that take them in random order.

Of a target only the runs of its most frequent length and metric count: what one run comes to
after 10 epochs and another after 50 says nothing of which is better.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.bench.curve_baselines import CURVE_METHODS, LEARNERS
from metanas.bench.curve_baselines.target import Ints, Setting, Target
from metanas.bench.rank_agreement import rank_agreement
from metanas.rankers.curve_table import OUTCOMES
from metanas.spaces import space_of

LENGTHS = (1, 2, 5, 10, 20)
"""Points observed when runs are ranked."""

MOST = 200
"""Architectures to learn from, and runs of a target, where no number is given."""

FEWEST_RUNS = 10
"""Runs of a target at least, unless fewer are asked for."""

Row = dict[str, float]


def bench_early_stop(
    trials: Trials,
    target: str | Sequence[str] | None = None,
    *,
    sources: int | None = None,
    runs: int | None = None,
    seeds: int = 1,
    orders: int = 20,
    methods: Sequence[str] | None = None,
    outcome: str = "final",
    tasks: Mapping[str, Task] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compares methods on tasks and architectures that they have not learned from.

    A single task has no sources: there those are compared that can do without.

    Args:
        trials: whole runs of the targets and of other tasks in one space.
        target: one or more tasks, left out together; by default every task with enough
            runs beside the sources in turn.
        sources: architectures whose runs on each other task are learned from; by default
            `MOST`, or half of what the targets have where that is less. Of a single task
            always none.
        runs: of the target, of other architectures, one of each; by default `MOST`, or
            what is left.
        seeds: other draws of both, from seed 0.
        orders: searches through the target's runs for each seed.
        methods: keys of `CURVE_METHODS`, by default all that can be compared.
        outcome: what a run comes to: its "final" value, or its best, its "score".
        progress: called with the number of methods done and to do.

    Returns:
        ``ranking``: for each method that ranks, by points observed, ``spearman`` and
        ``kendall`` with the outcome. ``stopping``: for each that stops, at its own threshold
        ``regret`` (percentage points, or the metric's unit where values leave [0, 1]: see
        ``unit``), ``epochs_share``, ``lost`` (share of searches whose best run was stopped),
        ``threshold``, and ``tradeoff``, the same at each of its thresholds. All are means
        over seeds, targets and searches. ``targets``: the same for each target.
        ``seconds``: of learning, for each method. ``left_out``: of each target with runs
        of several lengths or metrics, how many are not of the most frequent ones, and not
        used. ``small``: tasks with too few runs to be targets, where none was given.
        ``unfit``: methods that were not compared, having no sources to learn from.

    Raises:
        ValueError: an unknown method or target, a method that learns from other tasks where
            there are none, too few of anything.
    """
    every = sorted(trials.present("task"))
    lone = len(every) == 1
    unfit = [name for name in CURVE_METHODS if lone and name in LEARNERS and methods is None]
    chosen = list(dict.fromkeys(CURVE_METHODS if methods is None else methods))
    chosen = [name for name in chosen if name not in unfit]
    named = None if target is None else [target] if isinstance(target, str) else target
    _check(trials, every if named is None else named, chosen, sources, runs, seeds, orders, outcome)
    pool = _Pool.of(trials)
    if lone:
        sources = 0
    sources, runs = pool.numbers(every if named is None else named, sources, runs, named is None)
    least = min(runs, FEWEST_RUNS)
    if named is None:
        targets = pool.targets(every, sources, least, seeds)
    else:
        targets = list(dict.fromkeys(named))
    # Left out together while others remain, else each in turn.
    together = named is not None and len(targets) < len(every)
    groups = [targets] if together else [[name] for name in targets]
    todo, done = len(groups) * seeds * len(chosen), 0
    ranked: dict[str, dict[str, list[dict[str, Row]]]] = {}
    stopped: dict[str, dict[str, list[list[Row]]]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in range(seeds):
        for group in groups:
            split = _Split.of(pool, group, sources, runs, orders, seed, outcome, tasks or {})
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
                "ranking": {m: _ranking(rows[name]) for m, rows in ranked.items() if name in rows},
                "stopping": {
                    m: _stopping(rows[name], unit) for m, rows in stopped.items() if name in rows
                },
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
        "left_out": {name: count for name in targets if (count := pool.odd(name))},
        "small": [name for name in every if name not in targets] if named is None else [],
        "unfit": unfit,
    }


@dataclass(frozen=True)
class _Pool:
    """What is split.

    Attributes:
        trials: finished and failed runs.
        usual: which of them are of their task's most frequent metric and length, (n,).
    """

    trials: Trials
    usual: NDArray[np.bool_]

    @classmethod
    def of(cls, trials: Trials) -> _Pool:
        usable = trials.take(~trials.stopped & (trials.lengths > 0))
        usual = np.zeros(len(usable), np.bool_)
        for code in np.unique(usable.codes("task")):
            rows = np.flatnonzero(usable.codes("task") == code)
            metrics = usable.codes("metric")[rows]
            rows = rows[metrics == np.bincount(metrics).argmax()]
            usual[rows] = _usual(usable, rows)
        return cls(usable, usual)

    def rows(self, task: str) -> Ints:
        """The runs of a task that count."""
        return np.flatnonzero(self._of(task) & self.usual)

    def odd(self, task: str) -> int:
        """How many do not."""
        return int((self._of(task) & ~self.usual).sum())

    def positions(self, rng: np.random.Generator) -> Ints:
        """Each run's architecture's place in a random order, (n,)."""
        keys = np.array([architecture.key for architecture in self.trials.architectures])
        drawn = np.argsort(keys)[rng.permutation(len(keys))]
        place = np.empty(len(keys), np.int64)
        place[drawn] = np.arange(len(keys))
        return place[self.trials.architecture_codes]

    def numbers(
        self, targets: Sequence[str], sources: int | None, runs: int | None, any_of: bool
    ) -> tuple[int, int]:
        """How many architectures to learn from and how many runs to judge by.

        Args:
            any_of: whether targets with too few may be left out.
        """
        codes = self.trials.architecture_codes
        counts = [len(np.unique(codes[self.rows(name)])) for name in targets]
        count = max(counts) if any_of else min(counts)
        half = min(MOST, max(count // 2, 1))
        learned = half if sources is None else sources
        # Sources that were asked for may leave too few runs, which is then said.
        fewest = 2 if sources is None else FEWEST_RUNS
        return learned, min(MOST, max(count - learned, fewest)) if runs is None else runs

    def targets(self, tasks: Sequence[str], sources: int, least: int, seeds: int) -> list[str]:
        """The tasks with at least so many runs beside the sources, whatever the seed."""
        found = dict.fromkeys(tasks, len(self.trials))
        for seed in range(seeds):
            position = self.positions(np.random.default_rng(seed))
            for name in tasks:
                own = np.unique(position[self.rows(name)])
                found[name] = min(found[name], int((own >= sources).sum()))
        scored = self.trials.take(self.usual & np.isfinite(self.trials.scores)).present("task")
        chosen = [name for name in tasks if found[name] >= least and name in scored]
        if not chosen:
            most = max(found, key=lambda name: (found[name], len(self.rows(name))))
            raise ValueError(_too_few(least, most, sources, found[most], self.odd(most)))
        return chosen

    def _of(self, task: str) -> NDArray[np.bool_]:
        names = self.trials.names("task")
        code = names.index(task) if task in names else -1
        return np.asarray(self.trials.codes("task") == code)


def _usual(trials: Trials, rows: Ints) -> NDArray[np.bool_]:
    """Which of a task's runs report at the epochs that most do; failed ones, until they end."""
    starts, ends = trials.offsets[rows], trials.offsets[rows + 1]
    reported = [
        trials.flat_epochs[start:end].tobytes() for start, end in zip(starts, ends, strict=True)
    ]
    lasts = trials.flat_epochs[ends - 1]
    completed = trials.completed[rows]
    counted = completed if completed.any() else ~completed
    length = Counter(lasts[counted].tolist())
    last = max(length, key=lambda each: (length[each], each))
    alike = Counter(
        each for each, own in zip(reported, counted & (lasts == last), strict=True) if own
    )
    most = max(alike, key=lambda each: (alike[each], len(each), each))
    return np.array(
        [
            each == most or (not whole and most.startswith(each))
            for each, whole in zip(reported, completed, strict=True)
        ]
    )


def _too_few(least: int, task: str, sources: int, found: int, odd: int) -> str:
    said = f"need at least {least} runs of {task!r} beside the {sources} sources, got {found}"
    return said + (f" ({odd} of other lengths are left out)" if odd else "")


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
        pool: _Pool,
        targets: Sequence[str],
        sources: int,
        runs: int,
        orders: int,
        seed: int,
        outcome: str,
        tasks: Mapping[str, Task],
    ) -> _Split:
        usable = pool.trials
        rng = np.random.default_rng(seed)
        position = pool.positions(rng)
        names = usable.names("task")
        held = np.isin(usable.codes("task"), [i for i, n in enumerate(names) if n in targets])
        known = usable.take(~held & (position < sources))
        found = []
        for name in targets:
            own = pool.rows(name)
            own = own[position[own] >= sources]
            # A search trains an architecture once: of repeated trainings the first seed's.
            own = own[np.lexsort((usable.seeds[own], position[own]))]
            own = own[np.unique(position[own], return_index=True)[1]][:runs]
            least = min(runs, FEWEST_RUNS)
            if len(own) < least:
                raise ValueError(_too_few(least, name, sources, len(own), pool.odd(name)))
            shuffled = np.stack([rng.permutation(len(own)) for _ in range(orders)])
            target = Target.of(tasks.get(name, Task.table(name)), usable.take(own), outcome)
            if not np.isfinite(target.final).any():
                raise ValueError(f"need a run of {name!r} that comes to something, all diverged")
            found.append((target, shuffled))
        records = {name: tasks.get(name, Task.table(name)) for name in known.present("task")}
        return cls(space_of(usable), known, records, found)


def _agreement(score: Any, target: Target) -> Row:
    truth = np.where(np.isfinite(target.final), target.final, -1e300)
    guess = np.nan_to_num(np.asarray(score, np.float64), neginf=-1e300, posinf=1e300)
    return rank_agreement(guess, truth)


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
        "epochs_share": float(target.epochs[setting.lengths - 1].mean() / target.epochs[-1]),
        "lost": float((kept < final.max()).mean()),
        "chosen": float(setting.chosen),
    }


def _all(rows: Mapping[str, list[Any]]) -> list[Any]:
    return [each for found in rows.values() for each in found]


def _ranking(rows: Sequence[Mapping[str, Row]]) -> dict[str, Row]:
    """Means at the lengths that all targets have."""
    return {
        length: {key: float(np.mean([row[length][key] for row in rows])) for key in rows[0][length]}
        for length in rows[0]
        if all(length in row for row in rows)
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
    sources: int | None,
    runs: int | None,
    seeds: int,
    orders: int,
    outcome: str,
) -> None:
    longest = int(trials.lengths.max(initial=0))
    if longest < 2:
        raise ValueError(f"need runs of at least two reports each, got {longest}")
    present = trials.present("task")
    for name in targets:
        if name not in present:
            raise ValueError(f"no trials of target {name!r}; there are {', '.join(present)}")
    for method in methods:
        if method not in CURVE_METHODS:
            raise ValueError(f"unknown method {method!r}; there are {', '.join(CURVE_METHODS)}")
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
    given = [
        (len(targets), 1, "targets"),
        (len(methods), 1, "methods"),
        (sources, 1, "sources"),
        (runs, 2, "runs"),
        (seeds, 1, "seeds"),
        (orders, 1, "orders"),
    ]
    if any(count is not None and count < least for count, least, _ in given):
        raise ValueError(
            "need a target, a method, a source, two runs, a seed and an order, got "
            + ", ".join(f"{count} {what}" for count, _, what in given if count is not None)
        )
    learners = [method for method in methods if method in LEARNERS]
    if len(present) == 1 and learners:
        raise ValueError(f"{learners[0]} learns from other tasks than {present[0]!r}, got none")
