from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from threadpoolctl import ThreadpoolController

from tasks.one_thread import one_thread


def test_threads_started_inside_use_one_too() -> None:
    with one_thread(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 1


def test_the_number_before_comes_back_after_a_failure() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def in_a_new_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def shared() -> set[int]:
    """What OpenBLAS uses, and torch in a new thread."""
    blas = ThreadpoolController().select(internal_api="openblas").info()
    return {in_a_new_thread(torch.get_num_threads), *(each["num_threads"] for each in blas)}


@pytest.fixture
def two() -> Iterator[None]:
    """Two threads for everything."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    # Apart: nobody else could change what a thread that lives on has limited.
    limits = in_a_new_thread(lambda: ThreadpoolController().limit(limits=2))
    yield
    torch.set_num_threads(before)
    in_a_new_thread(limits.restore_original_limits)


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_where_two_threads_overlap_the_last_to_end_lifts_the_limit(
    two: None, first_to_end: int
) -> None:
    assert shared() == {2}
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        pools = [one, other]
        for pool in pools:
            assert pool.submit(torch.get_num_threads).result() == 2
        stacks = [ExitStack(), ExitStack()]
        for pool, stack in zip(pools, stacks, strict=True):
            pool.submit(stack.enter_context, one_thread()).result()
            assert pool.submit(torch.get_num_threads).result() == 1
        assert shared() == {1}
        first, last = first_to_end, 1 - first_to_end
        pools[first].submit(stacks[first].close).result()
        assert shared() == {1}
        assert pools[first].submit(torch.get_num_threads).result() == 2
        assert pools[last].submit(torch.get_num_threads).result() == 1
        pools[last].submit(stacks[last].close).result()
        assert pools[last].submit(torch.get_num_threads).result() == 2
        assert shared() == {2}


def test_one_inside_another_lifts_no_limit(two: None) -> None:
    with one_thread():
        with one_thread():
            assert shared() == {1}
        assert shared() == {1}
    assert shared() == {2}


LATER = """
import sys
from threadpoolctl import ThreadpoolController
from tasks.one_thread import one_thread

def threads():
    blas = ThreadpoolController().select(internal_api="openblas").info()
    return {each["filepath"]: each["num_threads"] for each in blas}

with one_thread():
    early = threads()
    import scipy.linalg
    with one_thread():
        assert len(threads()) > len(early), threads()
        assert set(threads().values()) == {1}, threads()
    assert set(threads().values()) == {1}, threads()
assert set(threads().values()) == {2}, threads()
"""


def test_a_library_that_is_loaded_inside_is_limited_from_the_next_time_on() -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", LATER], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


FORKED = """
import os, signal, sys, threading
import numpy, torch
from concurrent.futures import ThreadPoolExecutor
from threadpoolctl import ThreadpoolController
from tasks.one_thread import one_thread

def threads():
    blas = ThreadpoolController().select(internal_api="openblas").info()
    with ThreadPoolExecutor(1) as pool:
        new = pool.submit(torch.get_num_threads).result()
    return {new, *(each["num_threads"] for each in blas)}

def fails(call):
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            call()
            os._exit(0)
        finally:
            os.write(2, str(sys.exc_info()).encode())
            os._exit(1)
    return os.waitpid(child, 0)[1]

def limited():
    assert threads() == {2}, threads()
    with one_thread():
        assert threads() == {1}, threads()
    assert threads() == {2}, threads()

def short():
    with one_thread():
        pass

def other():
    while not over.is_set():
        with one_thread():
            inside.set()
            held.wait()

torch.set_num_threads(2)
inside, held, over = threading.Event(), threading.Event(), threading.Event()
thread = threading.Thread(target=other)
thread.start()
inside.wait()
codes = [fails(limited)]
held.set()  # from here on it comes and goes
codes += [fails(short) for _ in range(30) if not any(codes)]
over.set()
thread.join()
state = one_thread()
state.__enter__()

def leaves():
    with one_thread():
        state.__exit__(None, None, None)
        assert threads() == {1}, threads()
    assert threads() == {2}, threads()

codes.append(fails(leaves))
state.__exit__(None, None, None)
assert threads() == {2}, threads()
assert not any(codes), codes
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_process_is_inside_nothing_and_waits_for_nobody() -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", FORKED], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
