"""``metanas store``: look into the store, bring trials in and out."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from metanas.cli.arguments import Commands, command, group
from metanas.cli.opened import opened
from metanas.cli.output import emit, table

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
    rows = [(key, info[key]) for key in ("tasks", "trials", "curves", "revision")]
    rows += [(f"trials in {space}", count) for space, count in info["spaces"].items()]
    emit(given, info, table("", ("", "count"), [(key, str(value)) for key, value in rows]))


def _import(given: Namespace) -> None:
    from metadata_store.ingest import ingest
    from metanas.assemble import domains
    from metanas.importers import IMPORTERS

    tables = (part for file in given.files for part in IMPORTERS[given.format](file))
    with opened(given) as store:
        report = asdict(ingest(store, tables, domains()))
    rows = [("added", report["added"]), ("already known", report["known"])]
    rows += [(f"rejected: {reason}", n) for reason, n in report["rejected"].items()]
    emit(given, report, table("", ("trials", "count"), rows))


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
    from metanas.search.study import known_study, study_names
    from metanas.tracking import MlflowSink
    from metanas.warm_start import SearchLog

    url = user_url(given.store)
    sink = MlflowSink(given.uri) if given.uri else MlflowSink()
    quiet()
    pushed: dict[str, int] = {}
    with opened(given) as store, open_storage(url, make=False) as storage:
        names = study_names(storage) if given.study is None else [given.study]
        for name in names:
            study = known_study(storage, name)
            pushed[name] = SearchLog(study, store, sink).finish()
    emit(given, {"pushed": pushed}, table("", ("study", "logged"), list(pushed.items())))
