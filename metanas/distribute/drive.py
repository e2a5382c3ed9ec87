"""Keeps workers running until a search is done, and tells how it goes."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import optuna
from optuna.trial import TrialState

from metanas.distribute.job import STOP, Job, Prepared
from metanas.distribute.local import THREAD_VARIABLES, LocalWorkers, asked_to_stop
from metanas.distribute.ray import RayWorkers
from metanas.search.storage import patiently
from metanas.search.study import RESULT, counted, standing
from metanas.settings import SettingsError, nearest

LOG = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks at workers and study."""

RESTARTS = 3
"""Workers that may die one after the other with no trial ended in between."""

EXECUTORS = ("local", "ray")


class SearchFailed(RuntimeError):
    """A search cannot go on; what had ended is kept."""


class Workers(Protocol):
    """Runs jobs somewhere else."""

    def start(self, job: Job) -> None:
        """Starts a worker."""
        ...

    def ended(self) -> list[tuple[Job, str | None]]:
        """Workers that have ended since last asked; why, or None where all was done."""
        ...

    def count(self) -> int:
        """Workers that have not."""
        ...

    def stop(self) -> None:
        """Asks all to end after their running epochs."""
        ...

    def kill(self) -> None:
        """Ends all at once."""
        ...

    def close(self) -> None:
        """Ends all and releases what they need."""
        ...


@dataclass(frozen=True)
class Standing:
    """How a search stands.

    Attributes:
        ended: trials that count.
        best: highest score so far, None where there is none.
        running: trials.
        stopped, failed: of the ended.
    """

    ended: int
    best: float | None
    running: int
    stopped: int
    failed: int

    @property
    def text(self) -> str:
        """In few words."""
        parts = [f"best {'–' if self.best is None else format(self.best, '.4f')}"]
        named = (self.stopped, "stopped"), (self.failed, "failed"), (self.running, "running")
        return ", ".join(parts + [f"{count} {what}" for count, what in named if count])


Watcher = Callable[[Standing], None]


def executor(name: str, address: str | None) -> Workers:
    """Workers by the name of where they run.

    Raises:
        SettingsError: there is no such place, or an address for one that has none.
    """
    if name not in EXECUTORS:
        raise SettingsError(f"unknown executor {name!r}; {nearest(name, EXECUTORS)}")
    if name == "ray":
        return RayWorkers(address)
    if address is not None:
        raise SettingsError(f"executor {name!r} has no address, got {address!r}")
    return LocalWorkers()


def search_here(prepared: Prepared, watch: Watcher) -> None:
    """The search with this process as its one worker.

    Raises:
        KeyboardInterrupt: asked to stop; the running epoch was ended first.
    """
    with asked_to_stop() as asked:
        tell = _Teller(prepared.study, watch)
        tell()
        prepared.work(
            interrupted=asked.is_set,
            on_trial=tell.after_trial,
        )
        tell()
        if asked.is_set():
            raise KeyboardInterrupt


def search_with(prepared: Prepared, workers: Workers, count: int, watch: Watcher) -> None:
    """The search with so many workers elsewhere; those that die are replaced.

    Raises:
        KeyboardInterrupt: asked to stop; the running epochs were ended first.
        SearchFailed: workers die and nothing gets done.
    """
    study, job = prepared.study, replace(prepared.job, run=uuid.uuid4().hex)
    tell = _Teller(study, watch)
    # Of an earlier run there may be workers left: numbers are not used again.
    first = len(patiently(lambda: study.get_trials(deepcopy=False)))
    number = first + 1
    with asked_to_stop() as asked:
        try:
            for number in range(first + 1, first + 1 + count):
                workers.start(replace(job, worker=number))
            deaths, ended_before, told = 0, -1, False
            while workers.count():
                time.sleep(LOOK)
                ended = tell().ended
                if ended > ended_before:
                    deaths, ended_before = 0, ended
                for dead, why in workers.ended():
                    if why is None or asked.is_set():
                        continue
                    deaths += 1
                    LOG.warning("worker %d: %s; another takes its place", dead.worker, why)
                    if deaths > RESTARTS * count:
                        raise SearchFailed(f"workers end without a result: {why}")
                    number += 1
                    workers.start(replace(dead, worker=number))
                if asked.is_set() and not told:
                    told = True
                    patiently(lambda: study.set_user_attr(STOP, job.run))
                    workers.stop()
        finally:
            workers.kill()
        tell()
        if asked.is_set():
            raise KeyboardInterrupt


def threads_for(count: int) -> int:
    """Each worker's share of this machine's processors, or fewer where the user set so."""
    share = max(1, (os.cpu_count() or 1) // count)
    allowed = os.environ.get(THREAD_VARIABLES[0], "")
    return min(share, int(allowed)) if allowed.isdigit() and int(allowed) else share


class _Teller:
    def __init__(self, study: optuna.Study, watch: Watcher) -> None:
        self._study = study
        self._watch = watch

    def after_trial(self) -> None:
        self()

    def __call__(self) -> Standing:
        trials = patiently(lambda: self._study.get_trials(deepcopy=False))
        ended = counted(trials)
        scores = [
            each.user_attrs[RESULT]["best"]
            for each in ended
            if each.state is TrialState.COMPLETE and RESULT in each.user_attrs
        ]
        standing_now = Standing(
            ended=len(ended),
            best=max(scores, default=None),
            running=sum(each.state is TrialState.RUNNING for each in standing(trials)),
            stopped=sum(each.state is TrialState.PRUNED for each in ended),
            failed=sum(each.state is TrialState.FAIL for each in ended),
        )
        self._watch(standing_now)
        return standing_now
