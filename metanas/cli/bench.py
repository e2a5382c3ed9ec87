"""``metanas bench``: a method against its baselines on given data."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metanas.cli.arguments import Commands, command, group, names, positive
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
    zero.add_argument(
        "--trials",
        action="append",
        metavar="FILE",
        help="a trial table; may be repeated; without it, the store's trials",
    )
    zero.add_argument("--space", metavar="S", help="where the trials are of several spaces")
    zero.add_argument("--target", action="append", metavar="TASK", help="may be repeated")
    zero.add_argument(
        "--sources", type=positive, default=200, metavar="N", help="architectures a source task"
    )
    zero.add_argument("--seeds", type=positive, default=5, metavar="N")
    zero.add_argument("--methods", type=names, metavar="A,B", help="default: all")


def trials_of(given: Namespace) -> tuple[Trials, Mapping[str, Any]]:
    """The trials to measure on, of one space, and their tasks' records."""
    from metadata_store.batch import Trials
    from metadata_store.filters import screen
    from metadata_store.records import Task
    from metadata_store.table import read_tables
    from metanas.assemble import domains

    if given.trials:
        parts = [screen(part, domains())[0] for file in given.trials for part in read_tables(file)]
        trials = Trials.concat(parts)
        tasks = {name: Task.table(name) for name in trials.present("task")}
    else:
        with opened(given) as store:
            trials = store.batch(space=given.space)
            tasks = {task.name: task for task in store.tasks()}
    if given.space is not None:
        trials = trials.where(space=given.space)
    spaces = trials.present("space")
    if len(spaces) != 1:
        found = ", ".join(spaces) or "none"
        raise ValueError(f"need trials of one space, got {found}; choose with --space")
    return trials, tasks


def _zero_shot(given: Namespace) -> None:
    from metanas.bench.zero_shot import METHODS, bench_zero_shot

    trials, tasks = trials_of(given)
    with progress(given) as advance:
        document = bench_zero_shot(
            trials,
            given.target or trials.present("task"),
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
