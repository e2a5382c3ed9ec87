"""``metanas experience``: make trials to learn from, and pack them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from metanas.cli.arguments import Commands, command, group, positive
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress


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
    build.add_argument("--workers", type=positive, default=1, metavar="N", help="processes")

    export = command(
        inner, "export", _export, "write a source's trials and their tasks, as metanas ships them"
    )
    export.add_argument("folder", type=Path, metavar="DIRECTORY")
    export.add_argument("--source", default="reference", metavar="S", help="of the trials")


def _build(given: Namespace) -> None:
    from metanas.evaluators import checkpoint
    from metanas.experience import build
    from metanas.settings import ExperienceSettings, read_settings

    asked = read_settings(given.config, ExperienceSettings)
    # A new store starts empty: the shipped trials may be what is made anew.
    with opened(given, reference=False) as store, progress(given) as advance:
        added = build(
            asked,
            store,
            checkpoints=checkpoint.default_folder(),
            workers=given.workers,
            progress=advance,
        )
    emit(given, {"added": added}, f"{added:,} trials added")


def _export(given: Namespace) -> None:
    from metanas.experience import export

    with opened(given) as store:
        written = export(store, given.source, given.folder)
    emit(given, {"written": written}, f"{written:,} trials written to {given.folder}")
