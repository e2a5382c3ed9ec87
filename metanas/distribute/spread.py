"""Many independent jobs run elsewhere, their results as they end.

Unlike the workers of a search, which propose for themselves, these are told what to do.
Jobs are given out as places fall free, so a list of a million costs no memory, and a
job is not begun long before its result is wanted.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Protocol, TypeVar

import torch

from metanas.distribute.drive import EXECUTORS
from metanas.distribute.ray import RayTasks
from metanas.settings import SettingsError, nearest

Job = TypeVar("Job")
Result = TypeVar("Result")


class WorkerDied(RuntimeError):
    """A process that ran a job is gone; results told of before are not affected."""


class Spread(Protocol):
    """Runs a function on jobs somewhere; what is given and returned must pickle."""

    def __call__(self, run: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """The results, in no fixed order.

        Raises:
            WorkerDied: see there. Errors of `run` are raised as they are.
        """
        ...


def spread_over(executor: str, address: str | None, workers: int) -> Spread:
    """Where an executor's name says.

    Raises:
        SettingsError: there is no such executor, or an address for one that has none.
        ModuleNotFoundError, ConnectionError: see `RayTasks`.
    """
    if executor not in EXECUTORS:
        raise SettingsError(f"unknown executor {executor!r}; {nearest(executor, EXECUTORS)}")
    if executor == "ray":
        return RayTasks(address, workers, died=WorkerDied)
    if address is not None:
        raise SettingsError(f"executor {executor!r} has no address, got {address!r}")
    return Processes(workers)


class Processes:
    """Implements `Spread`: processes of this machine.

    Why not threads: a training seeds PyTorch's global generators, and networks of the
    size of the reference's leave further threads idle.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __call__(self, run: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        waiting = iter(jobs)
        with ProcessPoolExecutor(
            self._workers,
            # Forked processes would share locks of the parent's threads.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_share_threads,
            initargs=(self._workers,),
        ) as pool:
            running: set[Future[Result]] = set()
            try:
                while True:
                    # One more than there are processes, so that none waits for the next.
                    for job in islice(waiting, self._workers + 1 - len(running)):
                        running.add(pool.submit(run, job))
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            except BrokenProcessPool as error:
                raise WorkerDied(
                    "a worker process was killed, perhaps for want of memory; "
                    "what had ended is kept, start again to go on"
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def _share_threads(workers: int) -> None:
    # PyTorch starts with all cores, or $OMP_NUM_THREADS: what a user set is kept.
    share = max(1, (os.cpu_count() or 1) // workers)
    torch.set_num_threads(min(share, torch.get_num_threads()))
