"""``metanas meta-train``: an architecture and weights that learn from a few images a class."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanas.cli.adapt import logged
from metanas.cli.arguments import Commands, add_config, command, positive
from metanas.cli.episodes import add_plan_options, chosen_plan, classes_of, plan_of, task_of
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress, table
from metanas.settings import MetaTrainSettings, Named, SettingsError, read_settings

if TYPE_CHECKING:
    from metanas.meta.training import Point
    from metanas.meta_training import MetaTrained

VALIDATION_SHARE = 0.15

KIND = "meta-train"
"""Of its run in MLflow: the accuracy is that of episodes, no score of a task's architecture."""

log = logging.getLogger(__name__)


def add_commands(commands: Commands) -> None:
    """Adds the command."""
    train = command(
        commands,
        "meta-train",
        _meta_train,
        "learn an architecture and weights that adapt to a few images; killed, it resumes",
    )
    train.add_argument(
        "--episodes",
        metavar="DATA",
        help="a registered task, or images as `task add` reads them; many classes",
    )
    train.add_argument("--name", metavar="NAME", help="under which it is kept")
    train.add_argument("--ways", type=positive, metavar="N", help="classes (default 5)")
    train.add_argument("--shots", type=positive, metavar="K", help="images (default 1)")
    train.add_argument(
        "--validation", metavar="DATA", help="other classes; default: some of the episodes'"
    )
    train.add_argument("--method", metavar="M", help="tnas (default), tnas_plus_plus, auto_maml")
    train.add_argument(
        "--option",
        type=option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the method, e.g. steps=2 or width=24; may be repeated",
    )
    train.add_argument("--size", type=positive, metavar="PX", help="side (default 28)")
    add_plan_options(train)
    train.add_argument("--replace", action="store_true", help="over another of that name")
    train.add_argument("--no-mlflow", action="store_true", help="do not log to MLflow")
    add_config(train, "meta_omniglot")


def settings(given: Namespace) -> MetaTrainSettings:
    """The settings file's, overridden by the options given.

    Raises:
        SettingsError: neither says what to learn from, or what to call it.
    """
    if given.config is not None:
        read = read_settings(given.config, MetaTrainSettings)
    elif given.episodes is None or given.name is None:
        raise SettingsError("need --episodes DATA and --name NAME, or --config FILE with both")
    else:
        read = MetaTrainSettings(given.episodes, given.name)
    names = ("episodes", "name", "ways", "shots", "validation", "size")
    chosen: dict[str, Any] = {
        name: getattr(given, name) for name in names if getattr(given, name) is not None
    }
    method = read.method
    if given.method is not None and given.method != method.name:
        method = Named(given.method)
    chosen["method"] = method.but(**dict(given.option))
    return replace(read, **chosen, plan=chosen_plan(given, read.plan))


def option(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value a number or flag where it looks like one."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"wanted NAME=VALUE, got {text}")
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        parsed = value
    return name, parsed if isinstance(parsed, int | float | bool) else value


def _meta_train(given: Namespace) -> None:
    from metanas.evaluators import checkpoint
    from metanas.meta_shelf import check_same, fetch, keep, names, path_of
    from metanas.meta_training import identity_of, meta_train
    from tasks.episodes import check_disjoint

    asked = settings(given)
    path_of(asked.name)
    options = {key: value for key, value in asked.method.options.items() if value is not None}
    with opened(given) as store, progress(given) as advance:
        task = task_of(asked.episodes, store)
        train = classes_of(
            asked.episodes, store, size=asked.size, turned=asked.plan.rotations, advance=advance
        )
        if asked.validation is not None:
            validation = classes_of(
                asked.validation, store, size=asked.size, turned=False, advance=advance
            )
            check_disjoint(train, validation)
        else:
            # At least as many classes as there are ways, so that there is something to judge.
            share = max(VALIDATION_SHARE, asked.ways / max(1, len(train.names)))
            if 2 * asked.ways > len(train.names):
                raise ValueError(
                    f"need at least {2 * asked.ways} classes to train and validate with "
                    f"{asked.ways} ways, got {len(train.names)}: {asked.episodes}"
                )
            train, validation = train.split([share], seed=asked.plan.seed)
            validation = replace(validation, turned=False)
        plan = plan_of(asked.plan, ways=asked.ways, shots=asked.shots, n_classes=len(train))
        asked_for: dict[str, Any] = {
            "method": asked.method.name, "options": options, "plan": plan
        }  # fmt: skip
        digest = identity_of(train, validation, **asked_for)
        if not given.replace and asked.name in names():
            check_same(asked.name, fetch(asked.name), digest)

        training = checkpoint.default_folder() / f"meta-{digest}.pt"

        def tell(point: Point, iterations: int) -> None:
            advance(point.iteration, iterations, _line(point))
            log.info(_line(point))
            if not sys.stderr.isatty():
                sys.stderr.write(f"{point.iteration}/{iterations} {_line(point)}\n")

        made = meta_train(
            train,
            validation,
            **asked_for,
            path=training,
            told=tell,
        )
        try:
            file = keep(made.meta, asked.name, replace=given.replace)
        except FileExistsError as error:
            raise FileExistsError(
                f"{error}: it was made meanwhile, and nothing is lost, for the same command with "
                f"either takes this training from {training}"
            ) from error
    trial = made.trial(task.name, f"meta-train:{asked.name}", asked.plan.seed)
    run = None if given.no_mlflow else logged(trial, [file], kind=KIND)
    emit(
        given, _trained_document(asked.name, made, file, run), _trained_text(asked.name, made, file)
    )


def _line(point: Point) -> str:
    free = "" if math.isnan(point.free_share) else f", free {point.free_share:.2f}"
    return (
        f"loss {point.loss:.3f}, accuracy {point.accuracy.value:.4f} ± "
        f"{point.accuracy.ci95:.4f}{free}"
    )


def _trained_document(name: str, made: MetaTrained, file: Path, run: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "method": made.meta.method,
        "accuracy": made.best.accuracy.value,
        "ci95": made.best.accuracy.ci95,
        "architecture": dict(made.meta.architecture.choices),
        "space": made.meta.space.name,
        "params": made.meta.size,
        "free_share": made.points[-1].free_share,
        "seconds": made.seconds,
        "curve": [
            {"iteration": p.iteration, "loss": p.loss, "accuracy": p.accuracy.value}
            for p in made.points
        ],
        "file": str(file),
        "mlflow_run": run,
    }


def _trained_text(name: str, made: MetaTrained, file: Path) -> list[Any]:
    rows = [
        (p.iteration, p.loss, p.accuracy.value, p.accuracy.ci95, p.free_share) for p in made.points
    ]
    best = made.best.accuracy
    return [
        table(name, ("iteration", "loss", "accuracy", "± 95 %", "parameter-free"), rows),
        f"accuracy {best.value:.4f} ± {best.ci95:.4f} in {made.seconds:.0f} s; "
        f"{made.meta.size:,} parameters",
        f"before adaptation: {made.meta.space.format(made.meta.architecture)}",
        f"written: {file}",
    ]
