"""``metanas report``: one HTML file about a task or a search, or both where they share a name."""

from __future__ import annotations

import logging
from argparse import Namespace
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from metanas.cli.arguments import Commands, add_config, add_network_options, check_writable, command
from metanas.cli.opened import opened
from metanas.cli.output import emit
from metanas.cli.zero_shot import add_zero_shot_options, settings
from metanas.settings import SettingsError

if TYPE_CHECKING:
    import optuna

    from metadata_store.records import Task
    from metadata_store.store import MetadataStore

log = logging.getLogger(__name__)

BESIDES = ("name", "out", "store", "json", "verbose", "run", "output")
"""What is not about a recommendation, and so goes with a study too."""


def add_commands(commands: Commands) -> None:
    """Adds the command."""
    asked = command(
        commands, "report", _report, "an HTML file about a task, or about a search by its study"
    )
    asked.add_argument("name", metavar="TASK|STUDY")
    asked.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    add_zero_shot_options(asked)
    add_network_options(asked)
    add_config(asked, "zero_shot")


def _report(given: Namespace) -> None:
    from metadata_store.errors import StoreError, UnknownTask
    from metanas.report import document
    from metanas.search.study import known_study, planned_names

    check_writable(given.out)
    parts: list[str] = []
    with opened(given) as store, ExitStack() as stack:
        task, unknown = None, None
        try:
            task = store.task(given.name)
        except UnknownTask as error:
            unknown = error
        searched = False
        try:
            storage = stack.enter_context(_studies(given))
            searched = given.name in planned_names(storage)
        except StoreError as error:
            if task is None:
                raise
            log.warning("without the searches of that name: %s", error)
        if not searched and unknown is not None:
            raise UnknownTask(f"{unknown}; nor is there a study of that name") from None
        if task is None:
            _check_unused(given)
        if searched:
            parts += _of_search(known_study(storage, given.name), store)
        if task is not None:
            parts += _of_task(given, store, task)
    given.out.write_text(document(given.name, parts), encoding="utf-8")
    emit(given, {"file": str(given.out)}, f"written: {given.out}")


def _studies(given: Namespace) -> AbstractContextManager[optuna.storages.BaseStorage]:
    from metadata_store.store import user_url
    from metanas.search.storage import quiet, read_storage

    quiet()
    return read_storage(user_url(given.store))


def _check_unused(given: Namespace) -> None:
    """A study alone has no recommendation that options could change."""
    told = {name for name, value in vars(given).items() if value is not None}
    unused = sorted(told.difference(BESIDES))
    if unused:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        raise SettingsError(
            f"{given.name!r} is a study, and its report has no recommendation: "
            f"{options} {'plays' if len(unused) == 1 else 'play'} no part"
        )


def _of_task(given: Namespace, store: MetadataStore, task: Task) -> list[str]:
    from metanas.assemble import make_space
    from metanas.report import task_report

    asked = settings(given)
    return task_report(asked, store, task, make_space(asked.space, store)).parts()


def _of_search(study: optuna.Study, store: MetadataStore) -> list[str]:
    from metanas.assemble import make_space
    from metanas.search_report import search_report
    from metanas.settings import Named
    from metanas.warm_start import result

    found = result(study)
    return search_report(found, store, make_space(Named(found.plan.space), store)).parts()
