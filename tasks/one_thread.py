"""Torch, NumPy and scikit-learn on one thread: what they compute does not depend on how many.

Why: on small arrays further threads spend their time waiting for each other, on a busy
machine most of it, and sums taken in another order differ in their last digits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock, Thread

import torch
from threadpoolctl import ThreadpoolController

OWN = ["openmp", "mkl", "blis", "flexiblas"]
"""Libraries that may keep a number for each thread: all that threadpoolctl knows but OpenBLAS."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, an operation uses one thread; so do torch's in threads started there.

    A decorator as well: ``@one_thread()``. Any number of threads may be inside at once.
    """
    threads = torch.get_num_threads()  # which the limits below would lower
    with _SHARED.limited(), _libraries().select(internal_api=OWN).limit(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _libraries() -> ThreadpoolController:
    """Those loaded by now: to look for them takes milliseconds, and imports load them."""
    return _found(len(sys.modules))


@lru_cache(maxsize=1)
def _found(modules: int) -> ThreadpoolController:
    return ThreadpoolController()


class _Shared:
    """The limits that a process has once for all its threads: OpenBLAS's, and torch's for new ones.

    The first to come sets them, the last to go puts back what was there.

    Why in threads that end at once: it leaves alone what the caller's thread has to itself, and
    threadpoolctl lets nobody but the thread that limited OpenBLAS change it while that lives.

    A process that is forked meanwhile is inside nothing: its threads but one are gone.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._limited: list[ThreadpoolController] = []
        self._restore: list[Callable[[], None]] = []
        if sys.platform != "win32":  # there nothing is forked
            # A lock that another thread holds would never be free in the child.
            os.register_at_fork(
                before=lambda: self._lock.acquire(),
                after_in_parent=lambda: self._lock.release(),
                after_in_child=self._forked,
            )

    @contextmanager
    def limited(self) -> Iterator[None]:
        lock = self._lock
        with lock:
            libraries = _libraries()
            if libraries not in self._limited:
                _apart(lambda: self._limit(libraries))
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                if lock is self._lock:  # else forked since, and not counted here
                    self._inside -= 1
                if not self._inside:
                    _apart(self._put_back)
                elif torch.get_num_threads() > 1:  # the caller's again, and so that of new ones
                    _apart(_torch_on_one)

    def _forked(self) -> None:
        self._lock = Lock()
        self._inside = 0
        if self._restore:
            _apart(self._put_back)

    def _limit(self, libraries: ThreadpoolController) -> None:
        threads = torch.get_num_threads()
        self._restore += [
            libraries.limit(limits=1).restore_original_limits,
            lambda: torch.set_num_threads(threads),
        ]
        self._limited.append(libraries)
        _torch_on_one()

    def _put_back(self) -> None:
        while self._restore:
            self._restore.pop()()
        self._limited.clear()


def _torch_on_one() -> None:
    torch.set_num_threads(1)


def _apart(call: Callable[[], None]) -> None:
    thread = Thread(target=call, name="limits")
    thread.start()
    thread.join()


_SHARED = _Shared()
