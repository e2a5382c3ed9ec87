"""``metanas train``: one architecture on one task."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanas.cli.arguments import (
    EPOCHS_HELP,
    Commands,
    add_config,
    add_network_options,
    check_writable,
    chosen_space,
    command,
    positive,
    seed,
)
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress, table
from metanas.settings import TrainSettings, read_settings

if TYPE_CHECKING:
    from metadata_store.records import LearningCurve, Trial


ROWS = 20
"""Of a curve that are printed, beside the first, the best and the last; all are in the store."""


class TrainingFailed(RuntimeError):
    """A training ended without a score."""


def add_commands(commands: Commands) -> None:
    """Adds the command."""
    train = command(
        commands, "train", _train, "train one architecture on one task; record and export it"
    )
    train.add_argument("task", metavar="TASK")
    train.add_argument(
        "architecture", metavar="ARCHITECTURE", help="as zero-shot prints it, or a JSON object"
    )
    train.add_argument("--epochs", type=positive, metavar="N", help=EPOCHS_HELP)
    train.add_argument("--batch-size", type=positive, metavar="N", help="default 64")
    train.add_argument("--lr", type=float, metavar="X", help="first learning rate (default 0.1)")
    train.add_argument("--device", metavar="D", help="cpu, cuda or auto (the default)")
    train.add_argument("--seed", type=seed, metavar="N")
    train.add_argument(
        "--export",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the trained network; ends in .pt2 (torch.export) or .onnx; may be repeated",
    )
    train.add_argument("--no-mlflow", action="store_true", help="do not log to MLflow")
    add_network_options(train)
    add_config(train, "train")


def settings(given: Namespace) -> TrainSettings:
    """The settings file's, overridden by the options given."""
    read = read_settings(given.config, TrainSettings) if given.config else TrainSettings()
    options = {
        "epochs": given.epochs,
        "batch_size": given.batch_size,
        "lr": given.lr,
        "device": given.device,
    }
    return TrainSettings(
        space=chosen_space(given, read.space),
        evaluator=read.evaluator.but(**options),
        seed=read.seed if given.seed is None else given.seed,
    )


def _train(given: Namespace) -> None:
    from metanas.assemble import long_enough, make_evaluator, make_space, source_of
    from metanas.evaluators import checkpoint
    from metanas.networks.export import check_suffix, export, part_of
    from metanas.train import train

    for file in given.export:
        check_suffix(file)
        check_writable(file, part=part_of(file))
    asked = settings(given)
    with opened(given, writes=True) as store:
        task = store.task(given.task)
        space = make_space(asked.space, store)
        architecture = space.parse(given.architecture)
        asked = replace(asked, evaluator=long_enough(asked.evaluator, space, task))
        evaluator = make_evaluator(asked.evaluator, space, checkpoints=checkpoint.default_folder())
        with progress(given) as advance:
            trained = train(
                architecture,
                task,
                evaluator=evaluator,
                seed=asked.seed,
                source=source_of(asked, space, evaluator),
                progress=advance,
            )
        added = store.add_trials([trained.trial])
    if trained.trial.score is None:
        raise TrainingFailed(
            f"training diverged in epoch {len(trained.trial.curve)}; the trial is stored as "
            f"failed, nothing is exported"
        )
    classes = evaluator.load(task).classes
    for file in given.export:
        export(trained.module, file, task.input_shape, classes=classes)
    if not added:
        logging.getLogger(__name__).warning(
            "a trial of this architecture, seed and source is known; the store keeps that one"
        )
    log = added and not given.no_mlflow
    run = _logged(trained.trial, given.export) if log else None
    shown = document(trained.trial, given.export, run)
    emit(
        given,
        {**shown, "added": added, "classes": list(classes)},
        _described(trained.trial, given.export),
    )


def _logged(trial: Trial, files: Sequence[Path]) -> str | None:
    """The MLflow run's id; the trial is in the store already, so MLflow may be away."""
    from metanas.tracking import MlflowSink, TrackingError

    try:
        return MlflowSink().log(trial, artifacts=files)
    except TrackingError as error:
        logging.getLogger(__name__).warning("the trial is stored, but not in MLflow: %s", error)
        return None


def document(trial: Trial, exported: Sequence[Path], run: str | None) -> dict[str, Any]:
    """A trial as JSON."""
    return {
        "task": trial.task,
        "architecture": dict(trial.architecture.choices),
        "state": trial.state.value,
        "score": trial.score,
        "curve": {
            "metric": trial.curve.metric,
            "epochs": list(trial.curve.epochs),
            "values": list(trial.curve.values),
        },
        "seconds": trial.seconds,
        "params": int(trial.extras["params"]),
        "flops": int(trial.extras["flops"]),
        "test_score": trial.extras.get("test_score"),
        "exported": [str(file) for file in exported],
        "mlflow_run": run,
    }


def rows_of(curve: LearningCurve) -> list[tuple[int, float]]:
    """Epochs and values of `ROWS` even places of a curve, and of its first, best and last."""
    places = range(len(curve))
    every = -(-len(curve) // ROWS)
    shown = {0, len(curve) - 1, max(places, key=curve.values.__getitem__)}
    shown |= set(places[every - 1 :: every])
    return [(curve.epochs[place], curve.values[place]) for place in sorted(shown)]


def _described(trial: Trial, exported: Sequence[Path]) -> list[Any]:
    values = trial.curve.values
    score = (
        "diverged"
        if trial.score is None
        else f"{trial.curve.metric} {trial.score:.4f} at best, {values[-1]:.4f} at the end"
    )
    facts = (
        f"{score}, in {trial.seconds:.1f} s; {int(trial.extras['params']):,} parameters, "
        f"{int(trial.extras['flops']):,} multiply-adds"
    )
    return [
        table(trial.task, ("epoch", trial.curve.metric), rows_of(trial.curve)),
        facts,
        *(f"written, as it was at the end: {file}" for file in exported),
    ]
