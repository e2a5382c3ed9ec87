"""``metanas bench reference``: every journey on the trials that metanas ships."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metanas.cli.arguments import Commands, command, names, positive
from metanas.cli.output import emit, progress, table

log = logging.getLogger(__name__)


def add_command(commands: Commands) -> None:
    """Adds ``bench reference``."""
    bench = command(
        commands,
        "reference",
        _bench,
        "leave out each reference task in turn: zero-shot, warm start and early stopping on it",
    )
    bench.add_argument("--seeds", type=positive, default=3, metavar="N")
    bench.add_argument(
        "--parts", type=names, metavar="A,B", help="of zero-shot, warm-start and early-stop"
    )
    bench.add_argument(
        "--folder",
        type=Path,
        metavar="DIRECTORY",
        help="other trials and tasks, as `metanas experience export` writes them",
    )
    bench.add_argument(
        "--space", default="nasbench201", metavar="S", help="of the trials (default nasbench201)"
    )


def _bench(given: Namespace) -> None:
    from metadata_store.batch import Trials
    from metadata_store.reference import (
        FOLDER,
        reference_batches,
        reference_tables,
        reference_tasks,
    )
    from metanas.bench.reference import PARTS, bench_reference

    folder = given.folder or FOLDER
    if not folder.is_dir():
        raise ValueError(f"need a folder of trials and tasks, got {folder}")
    if not reference_tables(folder):
        raise ValueError(f"need a trial table, a file *.parquet, in {folder}")
    tasks = {task.name: task for task in reference_tasks(folder)}
    batches = [batch.where(space=given.space) for batch in reference_batches(folder)]
    batches = [batch for batch in batches if len(batch)]
    if not batches:
        raise ValueError(f"no trials in space {given.space!r} in {folder}")
    with progress(given) as advance:
        document = bench_reference(
            Trials.concat(batches),
            tasks,
            seeds=given.seeds,
            parts=PARTS if given.parts is None else given.parts,
            progress=advance,
        )
    warn_of_lengths(document.get("early-stop", {}))
    emit(given, document, _tables(document))


def warn_of_lengths(early: Mapping[str, Any]) -> None:
    """Says which runs `bench_early_stop` did not use."""
    for name, count in early.get("left_out", {}).items():
        log.warning(
            "of %s only the runs of its most frequent length and metric are used; left out: %d",
            name,
            count,
        )


def _tables(document: Mapping[str, Any]) -> list[Any]:
    shown: list[Any] = []
    if "zero-shot" in document:
        zero = document["zero-shot"]
        columns = ("regret_top1", "regret_top5", "kendall", "seconds")
        rows = [
            (name, *(row[c] for c in columns), zero["better"].get(name, "–"))
            for name, row in zero["methods"].items()
        ]
        heading = f"Zero-shot, mean of {document['tasks']} tasks left out in turn"
        shown.append(table(heading, ("method", *columns, "tasks above portfolio"), rows))
        shown.append(_by_task(zero))
    if "warm-start" in document:
        methods = document["warm-start"]["methods"]
        points = list(next(iter(methods.values()))["regret"])
        regrets = [(name, *(row["regret"][k] for k in points)) for name, row in methods.items()]
        shown.append(table("Warm start: regret by evaluations", ("method", *points), regrets))
    if "early-stop" in document:
        early = document["early-stop"]
        told = ("regret", "epochs_share", "lost")
        stops = [(name, *(row[c] for c in told)) for name, row in early["stopping"].items()]
        shown.append(table(f"Stopping (regret in {early['unit']})", ("method", *told), stops))
    return shown


def _by_task(zero: Mapping[str, Any]) -> Any:
    repeatability, attainable = zero["repeatability"], zero["attainable"]
    rows = [
        (
            name,
            methods["tapas"]["kendall"],
            methods["portfolio"]["kendall"],
            attainable.get(name, float("nan")),
            repeatability.get(name, float("nan")),
            methods["tapas"]["regret_top1"],
            methods["portfolio"]["regret_top1"],
        )
        for name, methods in zero["targets"].items()
    ]
    columns = (
        "tau tapas",
        "tau portfolio",
        "attainable",
        "tau of two seeds",
        "regret tapas",
        "portfolio",
    )
    return table("Zero-shot by task", ("task", *columns), rows)
