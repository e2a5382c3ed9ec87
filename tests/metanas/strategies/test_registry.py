import inspect

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.spaces import NasBench201
from metanas.strategies import COLD, STRATEGIES
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import some_cells


def test_a_key_is_the_name_of_the_file_with_hyphens() -> None:
    for key, strategy in STRATEGIES.items():
        assert strategy.__module__ == f"metanas.strategies.{key.replace('-', '_')}"


def test_all_take_the_same_keywords() -> None:
    for strategy in STRATEGIES.values():
        parameters = inspect.signature(strategy).parameters
        assert {"space", "sources", "tasks", "seed"} <= set(parameters)
        assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in parameters.values())


@pytest.mark.parametrize("name", STRATEGIES)
def test_cold_are_those_that_propose_the_same_whatever_the_sources(name: str) -> None:
    sources = Trials.of(trial("one", each, pretended(each)) for each in some_cells(40))
    task = Task.table("new")
    first = [
        STRATEGIES[name](
            space=NasBench201(), sources=given, tasks={each: Task.table(each) for each in seen}
        ).propose([], task, np.random.default_rng(0))
        for given, seen in ((Trials.of([]), ["new"]), (sources, ["one", "new"]))
    ]
    assert (first[0] == first[1]) == (name in COLD)
