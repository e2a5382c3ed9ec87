"""Workers as processes of this machine.

A worker ends after its running epoch when it is asked to, and also when the process that
started it is gone.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType

from metanas.distribute.job import Job, run_until

# Forked processes would share the parent's threads' locks and its connections.
CONTEXT = multiprocessing.get_context("spawn")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalWorkers:
    """Implements `metanas.distribute.drive.Workers`."""

    def __init__(self) -> None:
        self._running: list[tuple[Job, multiprocessing.process.BaseProcess]] = []

    def start(self, job: Job) -> None:
        process = CONTEXT.Process(target=_worker, args=(job,), name=f"worker {job.worker}")
        with _threads(job.threads):
            process.start()
        self._running.append((job, process))

    def ended(self) -> list[tuple[Job, str | None]]:
        ended = [(job, process) for job, process in self._running if not process.is_alive()]
        self._running = [pair for pair in self._running if pair not in ended]
        return [(job, _why(process.exitcode)) for job, process in ended]

    def count(self) -> int:
        return len(self._running)

    def stop(self) -> None:
        for _, process in self._running:
            process.terminate()

    def kill(self) -> None:
        for _, process in self._running:
            process.kill()
        for _, process in self._running:
            process.join()

    def close(self) -> None:
        self.kill()


@contextmanager
def asked_to_stop(
    kinds: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
) -> Iterator[threading.Event]:
    """Set by the first of these signals; the second interrupts at once."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may listen
        return
    before = {kind: signal.signal(kind, ask) for kind in kinds}
    try:
        yield asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _worker(job: Job) -> None:
    logging.basicConfig(
        level=logging.WARNING, format=f"%(levelname)s worker {job.worker}: %(message)s"
    )
    parent = multiprocessing.parent_process()
    # A terminal's Ctrl-C reaches all its processes; the one that started this one sees to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asked_to_stop([signal.SIGTERM]) as asked:

        def follow() -> None:
            wait([] if parent is None else [parent.sentinel])
            asked.set()

        threading.Thread(target=follow, name="parent", daemon=True).start()
        try:
            run_until(job, asked.is_set)
        except KeyboardInterrupt:
            sys.exit(130)


def _why(code: int | None) -> str | None:
    """What an exit status says; None where the worker had done all there was to do."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}" if code else None


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """The environment for a process that is to use so many threads."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    if count is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
