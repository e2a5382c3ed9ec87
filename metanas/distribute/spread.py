"""Many independent jobs run elsewhere, their results as they end.

Unlike the workers of a search, which propose for themselves, these are told what to do.
Jobs are given out as places fall free, so a list of a million costs no memory, and a
job is not begun long before its result is wanted.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.synchronize import Event
from typing import Protocol, TypeVar

import torch

from metanas.distribute.drive import EXECUTORS, threads_for
from metanas.distribute.ray import RayTasks
from metanas.settings import SettingsError, nearest

LOOK = 0.5
"""Seconds between two looks at whether to stop."""

Job = TypeVar("Job")
Result = TypeVar("Result")


class WorkerDied(RuntimeError):
    """A process that ran a job is gone; results told of before are not affected."""


class Spread(Protocol):
    """Runs a function on jobs somewhere; what is given and returned must pickle."""

    def __call__(self, run: Callable[[Job], Result], jobs: Iterable[Job]) -> Generator[Result]:
        """The results, in no fixed order.

        Raises:
            WorkerDied: see there. Errors of `run` are raised as they are.
        """
        ...


def spread_over(executor: str, address: str | None, workers: int, *, gpus: float = 0.0) -> Spread:
    """Where an executor's name says.

    Args:
        gpus: that a job on a cluster needs; those of this machine are shared as they are.

    Raises:
        SettingsError: there is no such executor, or an address for one that has none.
        ModuleNotFoundError, ConnectionError: see `RayTasks`.
    """
    if executor not in EXECUTORS:
        raise SettingsError(f"unknown executor {executor!r}; {nearest(executor, EXECUTORS)}")
    if executor == "ray":
        return RayTasks(address, workers, gpus=gpus, died=WorkerDied)
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

    def __call__(self, run: Callable[[Job], Result], jobs: Iterable[Job]) -> Generator[Result]:
        waiting = iter(jobs)
        # Forked processes would share locks of the parent's threads.
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        pool = ProcessPoolExecutor(
            self._workers, mp_context=context, initializer=_begin, initargs=(self._workers, stop)
        )
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
            if running:
                stop.set()
            pool.shutdown(cancel_futures=True)


def _begin(workers: int, stop: Event) -> None:
    """In a new process: what ends it early, and its share of the processors."""
    # Ctrl-C reaches every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        while not stop.wait(LOOK) and (parent is None or parent.is_alive()):
            pass
        # At once, whatever is running: it goes on from its checkpoint next time.
        os._exit(1)

    threading.Thread(target=follow, name="parent", daemon=True).start()
    torch.set_num_threads(threads_for(workers))
