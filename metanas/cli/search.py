"""``metanas search``: the best architecture that a budget of trainings finds."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanas.cli.arguments import (
    EPOCHS_HELP,
    Commands,
    add_config,
    add_network_options,
    check_writable,
    chosen_space,
    command,
    names,
    positive,
    seed,
)
from metanas.cli.output import Advance, emit, progress, table
from metanas.settings import NETWORK, Named, SearchSettings, SettingsError, read_settings

if TYPE_CHECKING:
    from metadata_store.store import MetadataStore
    from metanas.distribute.drive import Standing
    from metanas.distribute.job import Prepared
    from metanas.protocols import SearchSpace
    from metanas.search.record import Ran
    from metanas.warm_start import Search, SearchLog


TRAINING = ("epochs", "batch_size", "lr", "device", "width", "cells")
"""Options that play no part where an oracle answers."""

SHOWN = 5
"""Trials in the table."""


class NothingFound(RuntimeError):
    """No trial of a search ended with a score."""


def add_commands(commands: Commands) -> None:
    """Adds the command."""
    search = command(
        commands, "search", _search, "train architectures for a task, starting from past searches"
    )
    search.add_argument("task", metavar="TASK")
    search.add_argument(
        "--budget", type=positive, metavar="N", help="trials in all, earlier runs' included"
    )
    search.add_argument(
        "--sampler",
        metavar="S",
        help="xfernas (default; tpe for several objectives), random, evolution…",
    )
    search.add_argument(
        "--pruner",
        metavar="P",
        help="lcranknet (default; none with --oracle or for several objectives), median, "
        "hyperband…",
    )
    search.add_argument(
        "--objective", type=names, metavar="A,B", help="score (default), or e.g. score,-params"
    )
    search.add_argument("--study", metavar="NAME", help="a known one is resumed")
    search.add_argument(
        "--oracle",
        action="append",
        metavar="FILE",
        help="a trial table that answers instead of training; may be repeated",
    )
    search.add_argument(
        "--epochs", type=positive, metavar="N", help=f"{EPOCHS_HELP}, or a resumed study's"
    )
    search.add_argument("--batch-size", type=positive, metavar="N")
    search.add_argument("--lr", type=float, metavar="X")
    search.add_argument("--device", metavar="D", help="cpu, cuda or auto")
    search.add_argument("--neighbours", type=positive, metavar="K", help="tasks to learn from")
    search.add_argument("--exclude", type=names, metavar="A,B", help="tasks not to learn from")
    search.add_argument(
        "--priors", type=int, metavar="K", help="how many of the sources' best to try first"
    )
    search.add_argument("--seed", type=seed, metavar="N")
    search.add_argument(
        "--workers", type=positive, default=1, metavar="N", help="trainings at once (default 1)"
    )
    search.add_argument(
        "--executor", default="local", metavar="E", help="local (default) or ray, see --address"
    )
    search.add_argument("--address", metavar="A", help="of a Ray cluster, e.g. auto")
    search.add_argument(
        "--export",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the best network, trained; ends in .pt2 (torch.export) or .onnx",
    )
    search.add_argument("--mlflow", metavar="URI", help="default $MLFLOW_TRACKING_URI, else a file")
    search.add_argument("--no-mlflow", action="store_true", help="do not log to MLflow")
    add_network_options(search)
    add_config(search, "search")


def settings(given: Namespace) -> SearchSettings:
    """The settings file's, overridden by the options given."""
    if given.config is None and given.budget is None:
        raise SettingsError("need a budget: --budget N, how many trials to run in all")
    read = (
        read_settings(given.config, SearchSettings)
        if given.config
        else SearchSettings(budget=given.budget)
    )
    options = ("budget", "objective", "neighbours", "exclude", "priors", "seed")
    chosen: dict[str, Any] = {
        name: getattr(given, name) for name in options if getattr(given, name) is not None
    }
    for name in ("sampler", "pruner"):
        wanted = getattr(given, name)
        known = getattr(read, name)
        if wanted is not None and (known is None or known.name != wanted):
            chosen[name] = Named(wanted)
    if given.oracle is not None:
        chosen["oracle"] = tuple(str(Path(file).absolute()) for file in given.oracle)
    if chosen.get("oracle", read.oracle):
        if given.space is not None:
            chosen["space"] = Named(given.space)
        return replace(read, **chosen)
    if read.space is not None or (given.space, given.width, given.cells) != (None, None, None):
        chosen["space"] = chosen_space(given, read.space or NETWORK)
    chosen["evaluator"] = read.evaluator.but(
        epochs=given.epochs, batch_size=given.batch_size, lr=given.lr, device=given.device
    )
    return replace(read, **chosen)


def _search(given: Namespace) -> None:
    asked = settings(given)
    _check_exports(given, asked)
    _tell_unused(given, asked)
    from metadata_store.store import open_user_store, user_url
    from metanas.distribute.drive import executor, search_here, search_with, threads_for
    from metanas.distribute.job import Job, prepare
    from metanas.evaluators import checkpoint
    from metanas.rankers import kept
    from metanas.search.storage import open_storage, quiet
    from metanas.tracking import MlflowSink
    from metanas.warm_start import SearchLog, result

    url = user_url(given.store)
    elsewhere = given.workers > 1 or given.executor != "local" or given.address is not None
    if elsewhere and url.startswith("memory:"):
        raise SettingsError("a store in memory cannot be shared by workers; give it a file")
    quiet()
    with open_user_store(url, writes=True) as store, open_storage(url) as storage:
        _check_networks(asked, store, given.task)
        job = Job(
            settings=asked,
            task=given.task,
            study=given.study,
            store=url,
            checkpoints=None if asked.oracle else checkpoint.default_folder(),
            threads=threads_for(given.workers) if elsewhere else None,
            learned=kept.default_folder(),
        )
        workers = executor(given.executor, given.address) if elsewhere else None
        prepared = prepare(job, store, storage)
        if given.study is None:
            name = prepared.study.study_name
            sys.stderr.write(f"– study {name}; with --study {name} it can be resumed\n")
        log = None
        if not given.no_mlflow:
            sink = MlflowSink(given.mlflow) if given.mlflow else MlflowSink()
            log = SearchLog(prepared.study, store, sink)
        with progress(given) as advance:
            watch = _Watch(asked.budget, advance, log)
            try:
                if workers is None:
                    search_here(prepared, watch)
                else:
                    search_with(prepared, workers, given.workers, watch)
            finally:
                watch.close()
                if workers is not None:
                    workers.close()
        found = result(prepared.study)
        if found.best is None:
            reasons = {each.reason for each in found.trials if each.reason}
            raise NothingFound(
                f"study {found.study}: no trial ended with a score: {'; '.join(sorted(reasons))}"
            )
        _export_best(given, prepared, found.best)
        exported = [str(file) for file in given.export]
        emit(
            given,
            {**document(found, watch.run), "exported": exported},
            described(found, prepared.space, exported),
        )


def _check_exports(given: Namespace, asked: SearchSettings) -> None:
    if not given.export:
        return
    from metanas.networks.export import check_suffix, part_of

    if asked.oracle:
        raise SettingsError("with --oracle nothing is trained, so there is nothing to export")
    for file in given.export:
        check_suffix(file)
        check_writable(file, part=part_of(file))


def _tell_unused(given: Namespace, asked: SearchSettings) -> None:
    unused = [name for name in TRAINING if getattr(given, name) is not None]
    if asked.oracle and unused:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        logging.getLogger(__name__).warning(
            "with --oracle nothing is trained: %s %s no part",
            options,
            "plays" if len(unused) == 1 else "play",
        )


def _check_networks(asked: SearchSettings, store: MetadataStore, name: str) -> None:
    """Before the study is made: a worker would only record trials that failed."""
    from metadata_store.records import TABLE_KIND
    from metanas.assemble import make_space

    task = None if asked.oracle else store.task(name)
    # What a task without data lacks is told where its data is looked for.
    if task is None or task.kind == TABLE_KIND:
        return
    space = make_space(asked.space or NETWORK, store)
    if space.costs((), task) is None:
        raise SettingsError(
            f"space {space.name!r} is known only by its trials and has no networks to train; "
            f"give trials to search among with --oracle FILE"
        )


class _Watch:
    """Shows how a search stands, and logs what has ended.

    MLflow out of reach is said once, and then left alone.
    """

    def __init__(self, budget: int, advance: Advance, log: SearchLog | None) -> None:
        self._budget = budget
        self._advance = advance
        self._log = log
        self._logged = -1

    def __call__(self, now: Standing) -> None:
        self._advance(now.ended, self._budget, now.text)
        if now.ended != self._logged:
            self._logged = now.ended
            self._try(lambda log: log.push())

    @property
    def run(self) -> str | None:
        """Of MLflow; None where it was out of reach."""
        return None if self._log is None else self._log.run

    def close(self) -> None:
        """Ends the search's run in MLflow."""
        self._try(lambda log: log.finish())

    def _try(self, call: Callable[[SearchLog], object]) -> None:
        from metanas.tracking import TrackingError

        if self._log is None:
            return
        try:
            call(self._log)
        except TrackingError as error:
            self._log = None
            logging.getLogger(__name__).warning(
                "the search goes on without MLflow; `metanas store push-mlflow` logs it later: %s",
                error,
            )


def _export_best(given: Namespace, prepared: Prepared, best: Ran) -> None:
    """Takes the best network from its checkpoint; where that is gone it is trained again."""
    if not given.export:
        return
    from metanas.assemble import make_evaluator
    from metanas.networks.export import export
    from metanas.train import train

    evaluator = make_evaluator(
        prepared.job.settings.evaluator, prepared.space, checkpoints=prepared.job.checkpoints
    )
    trained = train(
        best.architecture, prepared.task, evaluator=evaluator, seed=best.seed, source="export"
    )
    classes = evaluator.load(prepared.task).classes
    for file in given.export:
        export(trained.module, file, prepared.task.input_shape, classes=classes)


def document(found: Search, run: str | None) -> dict[str, Any]:
    """The result as JSON."""
    best = found.best
    shown: dict[str, Any] = {
        "study": found.study,
        "best": None
        if best is None
        else {"architecture": dict(best.architecture.choices), "score": best.score},
        "trials": [_row(found, each) for each in found.trials],
        "epochs_used": found.epochs_used,
        "mlflow_run": run,
        "neighbours": [
            {"task": each.task, "weight": round(each.weight, 6)} for each in found.neighbours
        ],
        "cold_start": not found.neighbours,
    }
    if found.several:
        shown["front"] = [
            {"architecture": dict(each.architecture.choices), "objectives": found.values(each)}
            for each in found.front
        ]
    return shown


def _row(found: Search, each: Ran) -> dict[str, Any]:
    return {
        "number": each.number,
        "architecture": dict(each.architecture.choices),
        "score": each.score,
        **({"objectives": found.values(each)} if found.several else {}),
        "state": each.state.value,
        "epochs": each.epochs,
        "seconds": each.seconds,
        "reason": each.reason,
    }


def described(found: Search, space: SearchSpace, exported: list[str]) -> list[Any]:
    """The result for people."""
    from metanas.search.record import merit

    shown = (
        list(found.front)
        if found.several
        else sorted(found.trials, key=merit, reverse=True)[:SHOWN]
    )
    rows = [
        (
            each.number,
            float("nan") if each.score is None else each.score,
            *found.costs(each),
            each.state.value,
            each.epochs,
            space.format(each.architecture),
        )
        for each in shown
    ]
    learned = ", ".join(f"{each.task} {each.weight:.0%}" for each in found.neighbours)
    learned += f" ({', '.join(found.learned)})" * bool(found.learned)
    return [
        table("", ("trial", "score", *found.further, "state", "epochs", "architecture"), rows),
        f"study {found.study}: {_counts(found)}; {found.epochs_used:,} epochs; "
        f"learned from {learned or 'nothing: a cold start'}",
        *_hidden(found, len(shown)),
        *(f"written: {file}" for file in exported),
    ]


def _counts(found: Search) -> str:
    from metadata_store.records import TrialState

    counts = Counter(each.state for each in found.trials)
    told = ", ".join(f"{counts[state]} {state.value}" for state in TrialState)
    return f"{_trials(len(found.trials))}: {told}"


def _trials(count: int) -> str:
    return f"{count:,} {'trial' if count == 1 else 'trials'}"


def _hidden(found: Search, shown: int) -> list[str]:
    """Where to read what the table leaves out, if it does."""
    if shown == len(found.trials) and not any(each.reason for each in found.trials):
        return []
    told = ""
    if shown < len(found.trials):
        which = f"{_trials(shown)} that none beats" if found.several else f"best {_trials(shown)}"
        told = f"the {which} {'is' if shown == 1 else 'are'} shown; "
    return [f"{told}all, with reasons: metanas report {found.study} --out FILE.html"]
