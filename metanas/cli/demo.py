"""``metanas demo``: from images to a trained network and a report, in minutes."""

from __future__ import annotations

import shutil
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from metanas.cli import search as search_command
from metanas.cli import task as task_command
from metanas.cli import zero_shot as zero_shot_command
from metanas.cli.arguments import Commands, command
from metanas.cli.output import emit, progress, table
from metanas.settings import (
    DemoSettings,
    FewShotSettings,
    Named,
    SearchSettings,
    TaskSettings,
    TrainSettings,
    ZeroShotSettings,
)

if TYPE_CHECKING:
    from metadata_store.records import Trial
    from metanas.few_shot import Adapted

NETWORK = Named("nasbench201", {"width": 8, "cells": 1})

SAME = ("ref-digits", "ref-digits-noisy")
"""The reference holds the same digits: learning from them would be no transfer."""

DIGITS = DemoSettings(
    task=TaskSettings("digits", "digits#size=16", "image_folder"),
    digits=True,
    zero_shot=ZeroShotSettings(space=NETWORK, exclude=SAME),
    train=TrainSettings(space=NETWORK),
    search=SearchSettings(
        budget=4,
        space=NETWORK,
        evaluator=Named("scratch", {"epochs": 4}),
        pruner=Named("none"),
        exclude=SAME,
    ),
    few_shot=FewShotSettings(),
)


def add_commands(commands: Commands) -> None:
    """Adds the command."""
    demo = command(
        commands,
        "demo",
        _demo,
        "register images, recommend, train, search, adapt, report: in a minute",
    )
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        metavar="DIRECTORY",
        help="for everything written, a store of its own included; emptied first if a demo made it",
    )
    demo.add_argument(
        "--config", type=Path, metavar="FILE", help="settings in YAML, e.g. configs/smoke.yaml"
    )


def _demo(given: Namespace) -> None:
    from metadata_store.store import open_user_store, user_url
    from metanas.demo import demo
    from metanas.settings import read_settings

    settings = read_settings(given.config, DemoSettings) if given.config else DIGITS
    _check(given.out)
    if given.store and str(given.out.resolve()) not in user_url(given.store):
        # Before anything of an earlier demo is deleted: it may be no store.
        open_user_store(given.store, reference=settings.experience is None, writes=True).close()
    _prepare(given.out)
    url = given.store or f"sqlite:///{given.out / 'store.db'}"

    def say(what: str) -> None:
        sys.stderr.write(f"– {what}\n")

    begin = time.perf_counter()
    with (
        open_user_store(url, reference=settings.experience is None) as store,
        progress(given) as advance,
    ):
        made = demo(settings, store, given.out, url=user_url(url), say=say, progress=advance)
    rows = [
        ("first pick, not trained before", *_facts(made.picked)),
        ("random architecture", *_facts(made.random)),
    ]
    found = made.search
    if found is not None and found.best is not None:
        facts = found.best.score, "–", found.best.seconds
        rows.append((f"best of {len(found.trials)} searched", *facts))
    if made.few_shot is not None:
        few = made.few_shot
        what = f"adapted to {few.shots} images of each of {len(few.classes)} digits"
        rows.append((what, few.accuracy, int(few.trial.extras["params"]), few.seconds))
    document = {
        "task": task_command.document(made.task),
        "zero_shot": zero_shot_command.document(made.zero_shot),
        "picked": made.picked.score,
        "random": made.random.score,
        "search": None if found is None else search_command.document(found, None),
        "few_shot": None if made.few_shot is None else _few_shot(made.few_shot),
        "report": str(made.report),
        "seconds": time.perf_counter() - begin,
    }
    text = [
        *zero_shot_command.described(made.zero_shot, made.space),
        table("", ("trained", made.picked.curve.metric, "parameters", "seconds"), rows),
        f"report: {made.report}\nall in {document['seconds']:.0f} s",
    ]
    emit(given, document, text)


def _few_shot(adapted: Adapted) -> dict[str, object]:
    return {
        "task": adapted.trial.task,
        "classes": list(adapted.classes),
        "shots": adapted.shots,
        "accuracy": adapted.accuracy,
        "ci95": adapted.ci95,
        "low": adapted.low,
        "high": adapted.high,
        "judged": adapted.judged,
        "seen": adapted.seen,
        "seconds": adapted.seconds,
    }


def _facts(trial: Trial) -> tuple[object, ...]:
    score = float("nan") if trial.score is None else trial.score
    return score, int(trial.extras["params"]), trial.seconds


MARK = ".metanas-demo"
"""A file in a folder that a demo made."""


def _check(folder: Path) -> None:
    """Another's files are never deleted."""
    if folder.exists() and not (folder / MARK).exists() and any(folder.iterdir()):
        raise FileExistsError(f"need an empty folder or one a demo made, got {folder}")


def _prepare(folder: Path) -> None:
    """An empty folder with a mark."""
    if (folder / MARK).exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
