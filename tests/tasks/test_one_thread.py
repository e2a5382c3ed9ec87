from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

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
