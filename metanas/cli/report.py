"""``metanas report``: one HTML file about a task."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from metanas.cli.arguments import Commands, add_config, add_network_options, check_writable, command
from metanas.cli.opened import opened
from metanas.cli.output import emit
from metanas.cli.zero_shot import add_zero_shot_options, settings


def add_commands(commands: Commands) -> None:
    """Adds the command."""
    asked = command(
        commands, "report", _report, "an HTML file: the task, neighbours, cells, curves, agreement"
    )
    asked.add_argument("task", metavar="TASK")
    asked.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    add_zero_shot_options(asked)
    add_network_options(asked)
    add_config(asked, "zero_shot")


def _report(given: Namespace) -> None:
    from metanas.assemble import make_space
    from metanas.report import task_report

    asked = settings(given)
    check_writable(given.out)
    with opened(given) as store:
        space = make_space(asked.space, store)
        text = task_report(asked, store, store.task(given.task), space).html()
    given.out.write_text(text, encoding="utf-8")
    emit(given, {"file": str(given.out)}, f"written: {given.out}")
