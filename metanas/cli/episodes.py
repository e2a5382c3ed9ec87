"""Where a few-shot command finds its classes, and how long it meta-trains."""

from __future__ import annotations

import argparse
import hashlib
from argparse import Namespace
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from metanas.cli.arguments import positive, seed
from metanas.settings import PlanSettings

if TYPE_CHECKING:
    from metadata_store.records import Task
    from metadata_store.store import MetadataStore
    from metanas.meta.plan import Plan
    from tasks.episodes import Classes
    from tasks.source import Progress


NO_ROTATIONS = "--no-rotations"


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """How long to meta-train and on what episodes; defaults are those of `PlanSettings`."""
    usual = PlanSettings()
    parser.add_argument(
        "--train-ways",
        type=positive,
        metavar="N",
        help="classes of a training episode where the method takes any "
        f"(default {usual.train_ways}, or all)",
    )
    parser.add_argument(
        "--iterations",
        type=positive,
        metavar="N",
        help=f"meta-batches (default {usual.iterations})",
    )
    parser.add_argument(
        "--batch", type=positive, metavar="N", help=f"episodes in each (default {usual.batch})"
    )
    parser.add_argument(
        "--queries", type=positive, metavar="N", help=f"a class (default {usual.queries})"
    )
    parser.add_argument(
        "--lr", type=float, metavar="X", help=f"first outer rate (default {usual.lr:g})"
    )
    parser.add_argument(
        "--warp",
        type=float,
        metavar="X",
        help=f"how strongly classes are warped into new ones; 0 for not (default {usual.warp})",
    )
    parser.add_argument(
        NO_ROTATIONS,
        dest="rotations",
        action="store_const",
        const=False,
        help="do not count quarter turns as classes",
    )
    parser.add_argument(
        "--every",
        type=positive,
        metavar="N",
        help=f"meta-batches between validations (default {usual.every})",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="train so long, rates falling in time, and validate once more; default: no limit",
    )
    parser.add_argument("--seed", type=seed, metavar="N")


def plan_options(given: Namespace) -> list[str]:
    """Which options of `add_plan_options` are given, as they are typed."""
    named = [
        each.name for each in fields(PlanSettings) if getattr(given, each.name, None) is not None
    ]
    return [
        NO_ROTATIONS if name == "rotations" else f"--{name.replace('_', '-')}" for name in named
    ]


def chosen_plan(given: Namespace, read: PlanSettings) -> PlanSettings:
    """What was read, overridden by the options of `add_plan_options`."""
    named = {each.name: getattr(given, each.name, None) for each in fields(PlanSettings)}
    return replace(read, **{name: value for name, value in named.items() if value is not None})


def classes_of(
    data: str, store: MetadataStore, *, size: int, turned: bool, advance: Progress
) -> Classes:
    """The classes of a registered task or of images not registered, grey and square.

    Raises:
        ValueError: they are no labelled images, or labels are made wrong on purpose.
        OSError: they are missing.
    """
    from tasks.episodes import Classes
    from tasks.load import images_of

    task = task_of(data, store)
    prepared = images_of(_sized(task, size, grey=True), progress=advance)
    return Classes.of(prepared, turned=turned)


def task_of(data: str, store: MetadataStore) -> Task:
    """The registered task of that name, else one of images at that place; nothing is stored.

    Raises:
        ValueError: neither, or a task known only by its trials.
        OSError: no such file or folder.
    """
    from metadata_store.errors import UnknownTask
    from metadata_store.records import TABLE_KIND, Task
    from tasks.home import at_home
    from tasks.load import LOADERS
    from tasks.register import guess_kind, location_of

    known = {task.name: task for task in store.tasks()}
    registered = known.get(data)
    if registered is not None and registered.kind != TABLE_KIND:
        return registered
    prefix, colon, rest = data.partition(":")
    loader = LOADERS.get(prefix) if colon else None
    bare = rest if loader is not None and loader.is_path else data
    location = location_of(bare)
    path = at_home(location)
    # A table does not hide a folder of its name.
    if registered is not None and not path.exists():
        raise ValueError(f"task {data!r} is known only by its trials, it has no images")
    if loader is not None and not loader.is_path:
        place = data
    elif location and path.exists():
        place = f"{path.resolve()}{bare.removeprefix(location)}"
    else:
        unknown = UnknownTask.among(data, known)
        raise FileNotFoundError(f"no task, file or folder {data!r}; {unknown}")
    kind = guess_kind(data)
    # Where the images lie tells them from others of that name, whose trials the store may hold.
    digest = hashlib.blake2b(place.encode(), digest_size=4).hexdigest()
    name = f"{path.resolve().name or kind}-{digest}"
    return Task(name, kind, place, 0, None, (), None, {})


def _sized(task: Task, size: int, *, grey: bool) -> Task:
    from tasks.load import LOADERS
    from tasks.options import compose, parse

    location, options = parse(task.data.removeprefix(f"{task.kind}:"), LOADERS[task.kind].own)
    if options.noise:
        raise ValueError(
            f"episodes are judged by every label, need noise=0, got {options.noise:g}: {task.data}"
        )
    return replace(
        task, data=compose(location, replace(options, size=size, grey=options.grey or grey))
    )


def plan_of(settings: PlanSettings, *, ways: int, shots: int, n_classes: int) -> Plan:
    """The plan asked for, on so many classes, judged by tasks of these ways and shots."""
    from metanas.meta.plan import Plan

    return Plan(
        ways=min(settings.train_ways, n_classes),
        shots=shots,
        queries=settings.queries,
        batch=settings.batch,
        iterations=settings.iterations,
        lr=settings.lr,
        architecture_lr=settings.architecture_lr,
        warp=settings.warp,
        every=settings.every,
        seconds=settings.seconds,
        validation_ways=ways,
        validation_shots=shots,
        validation_episodes=settings.validation_episodes,
        seed=settings.seed,
    )
