"""Where a few-shot command finds its classes, and how long it meta-trains."""

from __future__ import annotations

import argparse
import hashlib
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from metanas.cli.arguments import positive, seed

if TYPE_CHECKING:
    from metadata_store.records import Task
    from metadata_store.store import MetadataStore
    from metanas.meta.training import Plan
    from tasks.episodes import Classes
    from tasks.source import Progress

SIZE = 28
"""Side of the images, where a meta-architecture says nothing else."""


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """How long to meta-train and on what episodes."""
    parser.add_argument(
        "--train-ways",
        type=positive,
        metavar="N",
        help="classes of a training episode where the method takes any (default 60, or all)",
    )
    parser.add_argument("--iterations", type=positive, default=1500, metavar="N")
    parser.add_argument("--batch", type=positive, default=1, metavar="N", help="episodes a step")
    parser.add_argument("--queries", type=positive, default=2, metavar="N", help="a class")
    parser.add_argument("--lr", type=float, default=3e-3, metavar="X", help="first outer rate")
    parser.add_argument(
        "--warp",
        type=float,
        default=0.5,
        metavar="X",
        help="how strongly classes are warped into new ones; 0 for not (default 0.5)",
    )
    parser.add_argument(
        "--no-rotations", action="store_true", help="do not count quarter turns as classes"
    )
    parser.add_argument("--every", type=positive, default=100, metavar="N", help="validate")
    parser.add_argument("--seed", type=seed, default=0, metavar="N")


def classes_of(
    data: str, store: MetadataStore, *, size: int, turned: bool, advance: Progress
) -> Classes:
    """The classes of a registered task or of images not registered, grey and square.

    Raises:
        ValueError: they are no labelled images.
        OSError: they are missing.
    """
    from tasks.episodes import Classes
    from tasks.load import prepare

    task = task_of(data, store)
    prepared = prepare(task.kind, _sized(task, size, grey=True).data, progress=advance)
    return Classes.of(prepared, turned=turned)


def task_of(data: str, store: MetadataStore) -> Task:
    """The registered task of that name, else one of images at that place; nothing is stored.

    Raises:
        ValueError: neither, or a task known only by its trials.
        OSError: no such file or folder.
    """
    from metadata_store.errors import UnknownTask
    from metadata_store.records import TABLE_KIND, Task
    from tasks.register import guess_kind

    known = {task.name: task for task in store.tasks()}
    location, hash_, options = data.partition("#")
    path = Path(location).expanduser()
    registered = known.get(data)
    # A folder adapted to before is known by its trials; its images are still there.
    if registered is not None and not (registered.kind == TABLE_KIND and path.exists()):
        if registered.kind == TABLE_KIND:
            raise ValueError(f"task {data!r} is known only by its trials, it has no images")
        return registered
    try:
        kind = guess_kind(data)
    except FileNotFoundError:
        unknown = UnknownTask.among(data, known)
        raise FileNotFoundError(f"no task, file or folder {data!r}; {unknown}") from None
    place = f"{path.resolve()}{hash_}{options}" if path.exists() else data
    name = path.resolve().name or kind
    if name in known and known[name].kind != TABLE_KIND and known[name].data != place:
        name = f"{name}-{hashlib.blake2b(place.encode(), digest_size=4).hexdigest()}"
    return Task(name, kind, place, 0, None, (), None, {})


def _sized(task: Task, size: int, *, grey: bool) -> Task:
    from tasks.load import LOADERS
    from tasks.options import compose, parse

    location, options = parse(task.data.removeprefix(f"{task.kind}:"), LOADERS[task.kind].own)
    return replace(
        task, data=compose(location, replace(options, size=size, grey=options.grey or grey))
    )


def plan_of(given: Namespace, n_classes: int) -> Plan:
    """The plan that the options ask for."""
    from metanas.meta.training import Plan

    return Plan(
        ways=min(given.train_ways or 60, n_classes),
        shots=given.shots,
        queries=given.queries,
        batch=given.batch,
        iterations=given.iterations,
        lr=given.lr,
        warp=given.warp,
        every=given.every,
        validation_ways=given.ways,
        validation_shots=given.shots,
        seed=given.seed,
    )
