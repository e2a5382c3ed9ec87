"""``metanas task``: register and list tasks."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from metanas.cli.arguments import Commands, command, group, names, positive, seed
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress, table

if TYPE_CHECKING:
    from metadata_store.records import Task


def add_commands(commands: Commands) -> None:
    """Adds the group."""
    inner = group(commands, "task", "tasks: register labelled data, list, show")
    add = command(inner, "add", _add, "read the data, split it once, characterise it, remember it")
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "data",
        metavar="DATA",
        help="a folder of images (a class a folder), .npz, IDX files, torchvision:CIFAR10, "
        "sklearn:digits, …",
    )
    add.add_argument("--kind", metavar="KIND", help="the loader, where it cannot be guessed")
    add.add_argument("--size", type=positive, metavar="PX", help="side images are resized to")
    add.add_argument("--limit", type=positive, metavar="N", help="use N images, classes in balance")
    add.add_argument("--classes", type=names, metavar="A,B", help="use these classes only")
    add.add_argument("--grey", action="store_true", help="one channel")
    add.add_argument("--seed", type=seed, metavar="N", help="of the split (default 0)")

    command(inner, "list", _list, "all tasks")
    show = command(inner, "show", _show, "one task, with its DCN and features")
    show.add_argument("name", metavar="NAME")


def _add(given: Namespace) -> None:
    from metadata_store.errors import DuplicateTask, UnknownTask
    from metadata_store.records import TABLE_KIND
    from tasks.register import register

    if not given.name.isprintable():
        raise ValueError(f"a task's name must be printable, got {given.name!r}")
    with opened(given, writes=True) as store:
        # Before the minute that characterising takes, not after it.
        try:
            if store.task(given.name).kind != TABLE_KIND:
                raise DuplicateTask(f"task {given.name!r} already exists")
        except UnknownTask:
            pass
        with progress(given) as advance:
            task = register(
                given.name,
                given.data,
                kind=given.kind,
                size=given.size,
                limit=given.limit,
                classes=given.classes,
                grey=given.grey,
                seed=given.seed,
                progress=advance,
            )
        store.add_task(task)
    emit(given, document(task), _described(task))


def _list(given: Namespace) -> None:
    with opened(given) as store:
        tasks = store.tasks()
    columns = ("task", "kind", "samples", "classes", "input", "DCN")
    rows = [
        (t.name, t.kind, t.n_samples, t.n_classes or "–", _shape(t), _number(t.dcn)) for t in tasks
    ]
    emit(given, [document(task) for task in tasks], table("", columns, rows))


def _show(given: Namespace) -> None:
    with opened(given) as store:
        task = store.task(given.name)
    emit(given, document(task), _described(task))


def document(task: Task) -> dict[str, Any]:
    """A task as JSON."""
    return {
        **{k: getattr(task, k) for k in task.__dataclass_fields__},
        "features": dict(task.features),
    }


def _described(task: Task) -> list[Any]:
    head = [
        ("kind", task.kind),
        ("data", task.data),
        ("samples", f"{task.n_samples:,}"),
        ("classes", str(task.n_classes or "–")),
        ("input", _shape(task)),
        ("DCN", _number(task.dcn)),
    ]
    features = [(name, f"{value:.4g}") for name, value in task.features.items()]
    return [table(task.name, ("", ""), head), table("features", ("", ""), features)]


def _shape(task: Task) -> str:
    return "×".join(map(str, task.input_shape)) or "–"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
