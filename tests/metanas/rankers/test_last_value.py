import math

import pytest

from metadata_store.records import Task
from metanas.rankers.last_value import LastValue
from tests.contracts.ranker import SPACE, RankerContract, run


class TestLastValue(RankerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def make(cls) -> type[LastValue]:
        return LastValue

    def test_a_diverged_run_loses(self) -> None:
        ranker = LastValue(space=SPACE)
        bad = run("new", 0.01, 3, upto=3, scale=math.nan)
        assert ranker.probability_better(bad, run("new", 0.9, 1), Task.table("new")) == 0.0
