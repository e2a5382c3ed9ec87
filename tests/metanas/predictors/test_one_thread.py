"""Predictors that compute with matrices do so on one thread, whatever the machine has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from metadata_store.records import Architecture, Task
from metanas.predictors import PREDICTORS
from metanas.predictors.tokens import Tokens
from metanas.protocols import Predictor
from metanas.spaces import NasBench201
from metanas.strategies import STRATEGIES
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import some_cells

TASK = Task.table("one")
FAST = {
    "tapas": {"members": 2, "steps": 5},
    "tapas_paper": {"epochs": 1},
    "xfernas": {"members": 2, "steps": 5},
    "xfernas_paper": {"epochs": 1},
    "gradient_boosting": {},
    "ridge": {},
}
"""Those predictors, with options that make them quick."""


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The most threads of any library, at each time that architectures were turned to numbers."""
    seen: list[int] = []

    def watch(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def turned(self: Any, architectures: Sequence[Architecture]) -> Any:
            pools = [pool["num_threads"] for pool in threadpool_info()]
            seen.append(max(torch.get_num_threads(), *pools))
            return real(self, architectures)

        monkeypatch.setattr(owner, name, turned)

    watch(NasBench201, "describe_all")
    watch(NasBench201, "encode_all")
    watch(Tokens, "encode")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield seen
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", FAST)
def test_learning_and_predicting(name: str, threads: list[int]) -> None:
    cells = some_cells(12)
    predictor: Predictor = PREDICTORS[name](space=NasBench201(), **FAST[name])
    predictor.fit([trial(TASK.name, each, pretended(each)) for each in cells], {TASK.name: TASK})
    learned = len(threads)
    predictor.predict(cells, Task.table("new"))
    assert len(threads) > learned
    assert set(threads) == {1}
    assert torch.get_num_threads() == 2


def test_searching(threads: list[int]) -> None:
    sources = [trial(TASK.name, each, pretended(each)) for each in some_cells(12)]
    strategy = STRATEGIES["xfernas"](space=NasBench201(), sources=sources, members=2, steps=5)
    threads_then = len(threads)
    own = [trial("new", each, pretended(each)) for each in some_cells(3, seed=1)]
    strategy.propose(own, Task.table("new"), np.random.default_rng(0))
    assert len(threads) > threads_then > 0
    assert set(threads) == {1}
