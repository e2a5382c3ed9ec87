"""``metanas store``: look into the store, bring trials in and out."""

from __future__ import annotations

import logging
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from metanas.cli.arguments import Commands, command, group
from metanas.cli.opened import opened
from metanas.cli.output import emit, table

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

LOSS = re.compile(r"loss|error|rmse|mse|mae|perplexity", re.IGNORECASE)
"""Names of metrics of which less is better."""

FORMATS = ("trials", "nasbench201", "nas-bench-graph", "lcbench", "mlflow", "optuna")


def add_commands(commands: Commands) -> None:
    """Adds the group."""
    inner = group(commands, "store", "the metadata store: counts, import, export")
    command(inner, "info", _info, "counts, tasks, spaces, schema revision")

    bring = command(
        inner, "import", _import, "add trials; known ones are skipped, unusable ones counted"
    )
    bring.add_argument("files", nargs="+", metavar="FILE", help="files, or URIs for mlflow, optuna")
    bring.add_argument("--format", choices=FORMATS, default="trials")

    export = command(inner, "export", _export, "write a trial table (Parquet)")
    export.add_argument("file", type=Path, metavar="FILE")
    export.add_argument("--task", metavar="T", help="of this task only")

    push = command(
        inner, "push-mlflow", _push, "log trials of searches that MLflow lacks; none twice"
    )
    push.add_argument("--uri", metavar="URI", help="default $MLFLOW_TRACKING_URI, else a file")
    push.add_argument("--study", metavar="NAME", help="of this study only")


def _info(given: Namespace) -> None:
    with opened(given) as store:
        info = asdict(store.info())
    rows = [(key, info[key]) for key in ("tasks", "trials", "curves")]
    shortest, longest = info["points"]
    rows.append(("points a curve", longest if shortest == longest else f"{shortest} to {longest}"))
    rows.append(("revision", info["revision"]))
    rows += [(f"trials in {space}", count) for space, count in info["spaces"].items()]
    emit(given, info, table("", ("", "count"), [(key, str(value)) for key, value in rows]))


def _import(given: Namespace) -> None:
    from metadata_store.ingest import ingest
    from metanas.assemble import domains
    from metanas.importers import IMPORTERS

    lowest: dict[str, float] = {}
    tables = (part for file in given.files for part in IMPORTERS[given.format](file))
    with opened(given, writes=True) as store:
        report = asdict(ingest(store, _watched(tables, lowest), domains()))
    for metric, value in lowest.items():
        if metric and LOSS.search(metric) and value > 0:
            log.warning(
                "higher counts as better, and %r is always above 0: negate it if less is better",
                metric,
            )
    rows = [("added", report["added"]), ("already known", report["known"])]
    rows += [(f"rejected: {reason}", n) for reason, n in report["rejected"].items()]
    emit(given, report, table("", ("trials", "count"), rows))


def _watched(tables: Iterable[pa.Table], lowest: dict[str, float]) -> Iterator[pa.Table]:
    """The tables as they are; `lowest` gets each metric's least finite value in them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for part in tables:
        curves = part.column("values")
        points = pa.table(
            {
                "metric": part.column("metric").take(pc.list_parent_indices(curves)),
                "value": pc.list_flatten(curves),
            }
        )
        least = points.filter(pc.is_finite(points["value"])).group_by("metric")
        for row in least.aggregate([("value", "min")]).to_pylist():
            name, value = row["metric"], row["value_min"]
            lowest[name] = min(value, lowest.get(name, value))
        yield part


def _export(given: Namespace) -> None:
    from metadata_store.table import write_table

    with opened(given) as store:
        if given.task is not None:
            store.task(given.task)
        batch = store.batch(tasks=None if given.task is None else [given.task])
        write_table(given.file, [batch])
    emit(given, {"written": len(batch)}, f"{len(batch):,} trials written to {given.file}")


def _push(given: Namespace) -> None:
    from metadata_store.store import user_url
    from metanas.search.storage import open_storage, quiet
    from metanas.search.study import known_study, planned_names
    from metanas.tracking import MlflowSink
    from metanas.warm_start import SearchLog

    url = user_url(given.store)
    sink = MlflowSink(given.uri) if given.uri else MlflowSink()
    quiet()
    pushed: dict[str, int] = {}
    with opened(given) as store, open_storage(url, make=False) as storage:
        names = planned_names(storage) if given.study is None else [given.study]
        for name in names:
            study = known_study(storage, name)
            pushed[name] = SearchLog(study, store, sink).finish()
    emit(given, {"pushed": pushed}, table("", ("study", "logged"), list(pushed.items())))
