"""``metanas experience``: make trials to learn from, and pack them."""

from __future__ import annotations

import logging
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from metanas.cli.arguments import Commands, command, group, positive
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress

if TYPE_CHECKING:
    from metadata_store.records import Trial


def add_commands(commands: Commands) -> None:
    """Adds the group."""
    inner = group(commands, "experience", "train the same random architectures on many tasks")
    build = command(
        inner, "build", _build, "train what is missing; may be interrupted and started again"
    )
    build.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help="tasks and architectures in YAML, e.g. configs/reference.yaml",
    )
    build.add_argument(
        "--workers", type=positive, default=1, metavar="N", help="trainings at once (default 1)"
    )
    build.add_argument(
        "--executor", default="local", metavar="E", help="local (default) or ray, see --address"
    )
    build.add_argument("--address", metavar="A", help="of a Ray cluster, e.g. auto")
    build.add_argument("--device", metavar="D", help="cpu, cuda or auto")
    build.add_argument(
        "--mlflow", metavar="URI", help="also log every trial there; by default none is"
    )

    export = command(
        inner, "export", _export, "write sources' trials and their tasks, as metanas ships them"
    )
    export.add_argument("folder", type=Path, metavar="DIRECTORY")
    export.add_argument(
        "--source",
        action="append",
        metavar="S",
        help="of the trials, a file each; may be given several times (default reference)",
    )


def _build(given: Namespace) -> None:
    from metanas.distribute.spread import spread_over
    from metanas.evaluators import checkpoint
    from metanas.experience import TOGETHER, build
    from metanas.settings import ExperienceSettings, read_settings

    read = read_settings(given.config, ExperienceSettings)
    asked = replace(read, evaluator=read.evaluator.but(device=given.device))
    on_gpu = str(asked.evaluator.options.get("device", "")).startswith("cuda")
    if given.executor == "ray" and asked.together is None:
        # This machine's device says nothing about the cluster's.
        asked = replace(asked, together=TOGETHER if on_gpu else 1)
    log = _Log(given.mlflow)
    # A new store starts empty: the shipped trials may be what is made anew.
    with opened(given, reference=False, writes=True) as store, progress(given) as advance:
        added = build(
            asked,
            store,
            checkpoints=checkpoint.default_folder(),
            spread=spread_over(given.executor, given.address, given.workers, gpus=float(on_gpu)),
            progress=advance,
            sink=log,
        )
    emit(
        given,
        {"added": added, "not_logged": log.missed},
        f"{added:,} trials added" + (f", {log.missed:,} not logged" if log.missed else ""),
    )


class _Log:
    """A sink that logs to MLflow where that is wanted, and goes on where it cannot."""

    def __init__(self, uri: str | None) -> None:
        self._uri = uri
        self.missed = 0

    def __call__(self, trial: Trial) -> None:
        if self._uri is None:
            return
        from metanas.tracking import MlflowSink, TrackingError

        try:
            MlflowSink(self._uri).log(trial)
        except TrackingError as error:
            if not self.missed:
                logging.getLogger(__name__).warning(
                    "trials are stored, but not in MLflow: %s", error
                )
            self.missed += 1


def _export(given: Namespace) -> None:
    from metanas.experience import export

    with opened(given) as store:
        written = export(store, given.source or ["reference"], given.folder)
    emit(given, {"written": written}, f"{written:,} trials written to {given.folder}")
