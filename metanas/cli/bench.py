"""``metanas bench``: a method against its baselines on given data."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanas.cli import bench_few_shot, bench_reference
from metanas.cli.arguments import Commands, check_writable, command, group, names, positive
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress, table

if TYPE_CHECKING:
    from metadata_store.batch import Trials

log = logging.getLogger(__name__)


def add_commands(commands: Commands) -> None:
    """Adds the group."""
    inner = group(commands, "bench", "benchmarks: a method against its baselines")
    zero = command(
        inner,
        "zero-shot",
        _zero_shot,
        "predict a whole target table from random architectures of the other tasks",
    )
    _add_data(zero, seeds=5, sources=200)
    zero.add_argument("--methods", type=names, metavar="A,B", help="default: all")
    warm = command(
        inner,
        "warm-start",
        _warm_start,
        "search on a complete table, with random architectures of the other tasks as sources",
    )
    _add_data(warm, seeds=20, sources=200)
    warm.add_argument(
        "--source-task", action="append", metavar="TASK", help="may be repeated; default: all"
    )
    warm.add_argument("--budget", type=positive, default=100, metavar="B", help="evaluations")
    warm.add_argument("--workers", type=positive, default=1, metavar="N", help="processes")
    warm.add_argument("--methods", type=names, metavar="A,B", help="default: those to compare")
    _add_early_stop(inner)
    bench_few_shot.add_command(inner)
    bench_reference.add_command(inner)


def _add_data(parser: ArgumentParser, *, seeds: int, sources: int | None) -> None:
    parser.add_argument(
        "--trials",
        action="append",
        metavar="FILE",
        help="a trial table; may be repeated; without it, the store's trials",
    )
    parser.add_argument(
        "--space",
        metavar="S",
        help="where the trials are of several spaces (default the targets', or nasbench201)",
    )
    parser.add_argument("--target", action="append", metavar="TASK", help="may be repeated")
    parser.add_argument(
        "--sources", type=positive, default=sources, metavar="N", help="architectures a source task"
    )
    parser.add_argument("--seeds", type=positive, default=seeds, metavar="N")


def _add_early_stop(inner: Commands) -> None:
    early = command(
        inner,
        "early-stop",
        _early_stop,
        "rank a target's runs by their first points, and stop runs of searches through them; "
        "targets are left out together, without --target each task in turn",
    )
    _add_data(early, seeds=1, sources=None)
    early.add_argument(
        "--runs",
        type=positive,
        metavar="N",
        help="of the target, of others; default: 200 and 200 sources, or half of what there are",
    )
    early.add_argument(
        "--orders", type=positive, default=20, metavar="N", help="searches a seed and target"
    )
    early.add_argument("--methods", type=names, metavar="A,B", help="default: all")
    early.add_argument(
        "--outcome",
        default="final",
        metavar="final|score",
        help="what a run comes to: its last value (default) or its best",
    )
    early.add_argument("--out", type=Path, metavar="FILE.html", help="the trade-offs as a plot")


def trials_of(given: Namespace) -> tuple[Trials, Mapping[str, Any]]:
    """The trials to measure on, of one space, and their tasks' records."""
    from metadata_store.records import Task
    from metanas.assemble import trials_in
    from metanas.settings import NETWORK

    if given.trials:
        trials = trials_in(given.trials)
        tasks = {name: Task.table(name) for name in trials.present("task")}
    else:
        with opened(given) as store:
            trials = store.batch(space=given.space)
            tasks = {task.name: task for task in store.tasks()}
    if given.space is not None:
        trials = trials.where(space=given.space)
    elif given.target:
        known = [name for name in given.target if name in trials.present("task")]
        of_targets = {space for name in known for space in trials.where(task=name).present("space")}
        if len(of_targets) == 1:
            trials = trials.where(space=of_targets.pop())
    spaces = trials.present("space")
    if given.space is None and NETWORK.name in spaces:
        trials, spaces = trials.where(space=NETWORK.name), [NETWORK.name]
    if len(spaces) != 1:
        found = ", ".join(spaces) or "none"
        raise ValueError(f"need trials of one space, got {found}; choose with --space")
    return trials, tasks


def _targets(given: Namespace, trials: Trials, wanted: int = 0) -> list[str]:
    """Those named, else all tasks with enough scores; what is left out is told.

    Args:
        wanted: scored architectures of a target, as far as any task has so many.
    """
    from metanas.bench.source_draw import FEWEST_SCORED, scored

    if given.target:
        return list(given.target)
    counts = scored(trials)
    least = min(max(FEWEST_SCORED, wanted), max(counts.values(), default=0))
    few = [f"{name} ({count})" for name, count in counts.items() if count < least]
    if few:
        log.warning(
            "no targets, having fewer than %d scored architectures: %s", least, ", ".join(few)
        )
    return [name for name, count in counts.items() if count >= least]


def _zero_shot(given: Namespace) -> None:
    from metanas.bench.zero_shot import METHODS, bench_zero_shot

    trials, tasks = trials_of(given)
    targets = _targets(given, trials)
    with progress(given) as advance:
        document = bench_zero_shot(
            trials,
            targets,
            tasks=tasks,
            sources=given.sources,
            seeds=given.seeds,
            methods=given.methods or METHODS,
            progress=lambda done, total: advance(done, total, "zero-shot"),
        )
    columns = ("regret_top1", "regret_top5", "regret_top10", "spearman", "kendall", "seconds")
    rows = [
        (name, *(found[column] for column in columns))
        for name, found in document["methods"].items()
    ]
    emit(given, document, table("", ("method", *columns), rows))


def _warm_start(given: Namespace) -> None:
    from metanas.bench.warm_start import DEFAULT, bench_warm_start

    trials, tasks = trials_of(given)
    targets = _targets(given, trials, given.budget)
    with progress(given) as advance:
        document = bench_warm_start(
            trials,
            targets,
            tasks=tasks,
            sources=given.sources,
            budget=given.budget,
            seeds=given.seeds,
            methods=given.methods or DEFAULT,
            source_tasks=given.source_task,
            workers=given.workers,
            progress=lambda done, total: advance(done, total, "warm-start"),
        )
    found = document["methods"]
    points = list(next(iter(found.values()))["regret"])
    rows = [
        (name, *(each["regret"][k] for k in points), each["ms_per_suggestion"])
        for name, each in found.items()
    ]
    emit(given, document, table("", ("method", *points, "ms"), rows))


def _early_stop(given: Namespace) -> None:
    if given.out is not None:
        check_writable(given.out)
    from metanas.bench.early_stop import bench_early_stop

    trials, tasks = trials_of(given)
    with progress(given) as advance:
        document = bench_early_stop(
            trials,
            given.target,
            tasks=tasks,
            sources=given.sources,
            runs=given.runs,
            seeds=given.seeds,
            orders=given.orders,
            methods=given.methods,
            outcome=given.outcome,
            progress=lambda done, total: advance(done, total, "early-stop"),
        )
    if document["small"]:
        log.warning("no targets, having too few whole runs: %s", ", ".join(document["small"]))
    if document["unfit"]:
        log.warning("no other task to learn from, as is wanted by %s", ", ".join(document["unfit"]))
    bench_reference.warn_of_lengths(document)
    if given.out is not None:
        from metanas.bench.early_stop_page import early_stop_page

        given.out.write_text(early_stop_page(document), encoding="utf-8")
        document = {**document, "file": str(given.out)}
    emit(given, document, _early_stop_tables(document))


def _early_stop_tables(document: Mapping[str, Any]) -> list[Any]:
    ranking, stopping = document["ranking"], document["stopping"]
    lengths = list(next(iter(ranking.values()), {}))
    ranks = [
        (name, *(row[length]["spearman"] for length in lengths)) for name, row in ranking.items()
    ]
    columns = ("regret", "epochs_share", "lost", "threshold")
    stops = [(name, *(row[column] for column in columns)) for name, row in stopping.items()]
    return [
        table("Spearman with the outcome, by points observed", ("method", *lengths), ranks),
        table(f"Stopping (regret in {document['unit']})", ("method", *columns), stops),
    ]
