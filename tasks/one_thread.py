"""Torch on one thread: what is computed does not depend on how many there are.

Why: on small tensors further threads spend their time waiting for each other, on a
busy machine most of it, and sums taken in another order differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch uses one thread for an operation; so do threads started there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
