"""``metanas report``: one HTML file about a task or a search."""

from __future__ import annotations

from argparse import Namespace
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from metanas.cli.arguments import Commands, add_config, add_network_options, check_writable, command
from metanas.cli.opened import opened
from metanas.cli.output import emit
from metanas.cli.zero_shot import add_zero_shot_options, settings

if TYPE_CHECKING:
    import optuna

    from metadata_store.store import MetadataStore


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
    from metadata_store.errors import UnknownTask
    from metanas.search.study import known_study, study_names

    check_writable(given.out)
    with opened(given) as store, _studies(given) as storage:
        if given.name in study_names(storage):
            text = _of_search(known_study(storage, given.name), store)
        else:
            try:
                text = _of_task(given, store)
            except UnknownTask as error:
                raise UnknownTask(f"{error}; nor is there a study of that name") from None
    given.out.write_text(text, encoding="utf-8")
    emit(given, {"file": str(given.out)}, f"written: {given.out}")


def _studies(given: Namespace) -> AbstractContextManager[optuna.storages.BaseStorage]:
    from metadata_store.store import user_url
    from metanas.search.storage import open_storage, quiet

    quiet()
    return open_storage(user_url(given.store), make=False)


def _of_task(given: Namespace, store: MetadataStore) -> str:
    from metanas.assemble import make_space
    from metanas.report import task_report

    asked = settings(given)
    task = store.task(given.name)
    return task_report(asked, store, task, make_space(asked.space, store)).html()


def _of_search(study: optuna.Study, store: MetadataStore) -> str:
    from metanas.assemble import make_space
    from metanas.search_report import search_report
    from metanas.settings import Named
    from metanas.warm_start import result

    found = result(study)
    return search_report(found, store, make_space(Named(found.plan.space), store)).html()
