"""``metanas meta-train``: an architecture and weights that learn from a few images a class."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import sys
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanas.cli.adapt import logged
from metanas.cli.arguments import Commands, command, positive
from metanas.cli.episodes import SIZE, add_plan_options, classes_of, plan_of, task_of
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress, table

if TYPE_CHECKING:
    from metanas.few_shot import MetaTrained
    from metanas.meta.meta_architecture import MetaArchitecture, Option
    from metanas.meta.training import Point

VALIDATION_SHARE = 0.15

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
        required=True,
        metavar="DATA",
        help="a registered task, or images as `task add` reads them; many classes",
    )
    train.add_argument("--name", required=True, metavar="NAME", help="under which it is kept")
    train.add_argument("--ways", type=positive, default=5, metavar="N", help="classes (default 5)")
    train.add_argument("--shots", type=positive, default=1, metavar="K", help="images (default 1)")
    train.add_argument(
        "--validation", metavar="DATA", help="other classes; default: some of the episodes'"
    )
    train.add_argument("--method", default="tnas", metavar="M", help="tnas, tnas_plus_plus, …")
    train.add_argument(
        "--option",
        type=option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the method, e.g. steps=2 or width=24; may be repeated",
    )
    train.add_argument(
        "--size", type=positive, default=SIZE, metavar="PX", help=f"side (default {SIZE})"
    )
    add_plan_options(train)
    train.add_argument("--replace", action="store_true", help="over another of that name")
    train.add_argument("--no-mlflow", action="store_true", help="do not log to MLflow")


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
    from metanas.few_shot import meta_train
    from metanas.meta_shelf import fetch, keep, names, path_of
    from tasks.episodes import check_disjoint

    path_of(given.name)
    options: dict[str, Option] = dict(given.option)
    turned = not given.no_rotations
    with opened(given) as store, progress(given) as advance:
        task = task_of(given.episodes, store)
        train = classes_of(given.episodes, store, size=given.size, turned=turned, advance=advance)
        if given.validation is not None:
            validation = classes_of(
                given.validation, store, size=given.size, turned=False, advance=advance
            )
            check_disjoint(train, validation)
        else:
            # At least as many classes as there are ways, so that there is something to judge.
            share = max(VALIDATION_SHARE, given.ways / max(1, len(train.names)))
            if 2 * given.ways > len(train.names):
                raise ValueError(
                    f"need at least {2 * given.ways} classes to train and validate with "
                    f"{given.ways} ways, got {len(train.names)}: {given.episodes}"
                )
            train, validation = train.split([share], seed=given.seed)
            validation = replace(validation, turned=False)
        plan = plan_of(given, len(train))
        facts = [given.method, options, asdict(plan), task.data, given.validation, given.size]
        digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()
        if not given.replace and given.name in names():
            check_same(given.name, fetch(given.name), digest)

        def tell(point: Point, iterations: int) -> None:
            advance(point.iteration, iterations, _line(point))
            log.info(_line(point))
            if not sys.stderr.isatty():
                sys.stderr.write(f"{point.iteration}/{iterations} {_line(point)}\n")

        made = meta_train(
            train,
            validation,
            method=given.method,
            options=options,
            plan=plan,
            path=checkpoint.default_folder() / f"meta-{digest}.pt",
            told=tell,
        )
        meta = replace(made.meta, facts={**made.meta.facts, "digest": digest})
        file = keep(meta, given.name)
    trial = made.trial(task.name, f"meta-train:{given.name}", given.seed)
    run = None if given.no_mlflow else logged(trial, [file])
    emit(
        given, _trained_document(given.name, made, file, run), _trained_text(given.name, made, file)
    )


def check_same(name: str, known: MetaArchitecture, digest: str) -> None:
    """Raises:
    FileExistsError: the one of this name was made in another way.
    """
    if known.facts.get("digest") != digest:
        raise FileExistsError(
            f"a meta-architecture {name!r} exists; give --replace or another name"
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
