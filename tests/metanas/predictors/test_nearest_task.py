from dataclasses import replace

import pytest

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.nearest_task import NearestTask
from metanas.predictors.random import RandomScores
from metanas.predictors.source_weights import WeighsSources
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

    def test_all_the_weight_is_the_nearest_tasks(self, trials: list[Trial]) -> None:
        tasks = {n: replace(Task.table(n), dcn=d) for n, d in (("one", 0.9), ("two", 0.1))}
        predictor = NearestTask(space=self.space).fit(trials, tasks)
        assert isinstance(predictor, WeighsSources)
        for dcn, weights in ((0.8, {"one": 1.0, "two": 0.0}), (0.2, {"one": 0.0, "two": 1.0})):
            assert predictor.source_weights(replace(Task.table("new"), dcn=dcn)) == weights

    def test_there_are_no_weights_before_fitting_or_without_another_task(
        self, trials: list[Trial]
    ) -> None:
        predictor = NearestTask(space=self.space)
        with pytest.raises(ValueError, match="not fitted"):
            predictor.source_weights(Task.table("new"))
        with pytest.raises(ValueError, match="another task than 'one'"):
            predictor.fit(trials[:60], {}).source_weights(Task.table("one"))


def test_not_every_predictor_weighs_sources() -> None:
    assert not isinstance(RandomScores(space=LearningPredictorContract.space), WeighsSources)
