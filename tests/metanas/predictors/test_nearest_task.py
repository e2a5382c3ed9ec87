from dataclasses import replace

import pytest

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.nearest_task import NearestTask
from tests.contracts.predictor import LearningPredictorContract, trial


class TestNearestTask(LearningPredictorContract):
    learns = False

    @pytest.fixture
    def make(self) -> type[NearestTask]:
        return NearestTask

    def test_follows_the_task_of_nearest_dcn(self, architectures: list[Architecture]) -> None:
        a, b = architectures[:2]
        trials = [trial("easy", a, 0.9), trial("easy", b, 0.8)]
        trials += [trial("hard", a, 0.1), trial("hard", b, 0.2)]
        tasks = {n: replace(Task.table(n), dcn=d) for n, d in (("easy", 0.9), ("hard", 0.1))}
        predictor = NearestTask(space=self.space).fit(trials, tasks)
        for dcn, first in ((0.8, 0), (0.2, 1)):
            mean = predictor.predict([a, b], replace(Task.table("new"), dcn=dcn)).mean
            assert mean.argmax() == first

    def test_needs_another_task(self, trials: list[Trial]) -> None:
        predictor = NearestTask(space=self.space).fit(trials[:60], {})
        with pytest.raises(ValueError, match="another task than 'one'"):
            predictor.predict([], Task.table("one"))
