"""Torch, NumPy and scikit-learn on one thread: what they compute does not depend on how many.

Why: on small arrays further threads spend their time waiting for each other, on a busy
machine most of it, and sums taken in another order differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, an operation uses one thread; so do torch's in threads started there.

    A decorator as well: ``@one_thread()``.
    """
    threads = torch.get_num_threads()  # which the limits below would lower
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
