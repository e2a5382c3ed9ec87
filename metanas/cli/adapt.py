"""``metanas adapt``: an architecture and weights for a task of a few images."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanas.cli.arguments import Commands, check_writable, command, positive, seed
from metanas.cli.episodes import task_of
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress

if TYPE_CHECKING:
    from metadata_store.records import Trial
    from metanas.few_shot import Adapted
    from metanas.meta.meta_architecture import MetaArchitecture

DEFAULT_META = "omniglot"
"""Comes with the package."""

log = logging.getLogger(__name__)


def add_commands(commands: Commands) -> None:
    """Adds the command."""
    adapt = command(
        commands, "adapt", _adapt, "an architecture and weights for a task of a few images"
    )
    adapt.add_argument(
        "task", metavar="TASK|FOLDER", help="a registered task, or a folder of images by class"
    )
    adapt.add_argument(
        "--meta", default=DEFAULT_META, metavar="NAME", help=f"default {DEFAULT_META}"
    )
    adapt.add_argument(
        "--shots",
        type=positive,
        metavar="K",
        help="images a class to learn from; default: as many as the smallest class has, at most "
        "20, and at most 1,000 of all classes together",
    )
    adapt.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="of adaptation; default: as the meta-architecture has it",
    )
    adapt.add_argument(
        "--epochs", type=positive, metavar="N", help="of ordinary training afterwards"
    )
    adapt.add_argument("--seed", type=seed, default=0, metavar="N")
    adapt.add_argument(
        "--export",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the network; ends in .pt2 (torch.export) or .onnx; may be repeated",
    )
    adapt.add_argument("--no-mlflow", action="store_true", help="do not log to MLflow")


def _adapt(given: Namespace) -> None:
    from metanas.few_shot import adapt, fitted, source_for
    from metanas.meta_shelf import fetch, label
    from metanas.networks.export import check_suffix, export, part_of
    from tasks.load import images_of

    for file in given.export:
        check_suffix(file)
        check_writable(file, part=part_of(file))
    meta = fetch(given.meta)
    with opened(given, writes=True) as store:
        task = task_of(given.task, store)
        with progress(given) as advance:
            data = images_of(fitted(task, meta), progress=advance)
            made = adapt(
                meta,
                task,
                data,
                source=source_for(
                    label(given.meta, meta),
                    shots=given.shots,
                    steps=given.steps,
                    epochs=given.epochs,
                ),
                shots=given.shots,
                steps=given.steps,
                epochs=given.epochs or 0,
                seed=given.seed,
                progress=advance,
            )
        added = store.add_trials([made.trial])
    for file in given.export:
        export(made.module, file, meta.input_shape, classes=made.classes)
    if not added:
        log.warning("a trial of this architecture, seed and source is known; the store keeps it")
    run = logged(made.trial, given.export) if added and not given.no_mlflow else None
    emit(
        given,
        _adapted_document(given.meta, meta, made, given.export, run),
        _adapted_text(given.meta, meta, made, given.export),
    )


def logged(trial: Trial, files: Sequence[Path], *, kind: str | None = None) -> str | None:
    """The MLflow run's id; MLflow may be away.

    Args:
        kind: of a record that is no trial of a task, so that none is read back from it.
    """
    from metanas.importers.mlflow import KIND_TAG
    from metanas.tracking import MlflowSink, TrackingError

    try:
        tags = {} if kind is None else {KIND_TAG: kind}
        return MlflowSink().log(trial, artifacts=files, tags=tags)
    except TrackingError as error:
        log.warning("not in MLflow: %s", error)
        return None


def _adapted_document(
    name: str, meta: MetaArchitecture, made: Adapted, exported: Sequence[Path], run: str | None
) -> dict[str, Any]:
    trial = made.trial
    return {
        "task": trial.task,
        "meta": name,
        "accuracy": made.accuracy,
        "ci95": made.ci95,
        "low": made.low,
        "high": made.high,
        "judged": made.judged,
        "seen": made.seen,
        "shots": made.shots,
        "smallest_class": made.smallest,
        "learned": made.learned,
        "classes": list(made.classes),
        "test_accuracy": made.test_accuracy,
        "test_seen": made.test_seen,
        "space": trial.architecture.space,
        "architecture": dict(trial.architecture.choices),
        "input_shape": list(meta.input_shape),
        "params": int(trial.extras["params"]),
        "flops": int(trial.extras["flops"]),
        "seconds": made.seconds,
        "exported": [str(file) for file in exported],
        "mlflow_run": run,
    }


def _adapted_text(
    name: str, meta: MetaArchitecture, made: Adapted, exported: Sequence[Path]
) -> list[Any]:
    trial = made.trial
    shape = "×".join(map(str, meta.input_shape))
    learned = f"{made.shots} of each of {len(made.classes)} classes learned from"
    if made.smallest is not None:
        learned += f", as many as {made.smallest!r} has"
    if made.learned > made.shots * len(made.classes):
        learned += f", then {made.learned} in all"
    return [
        f"{trial.task}: accuracy {made.accuracy:.4f} (95 %: {made.low:.4f} to {made.high:.4f}) on "
        f"{made.judged} images held out; {learned}",
        f"{meta.space.format(trial.architecture)}",
        f"{int(trial.extras['params']):,} parameters, images {shape}; adapted from {name!r} in "
        f"{made.seconds:.1f} s",
        *(f"written: {file}" for file in exported),
    ]
