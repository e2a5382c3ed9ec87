import pytest

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.portfolio import Portfolio
from tests.contracts.predictor import LearningPredictorContract, trial


class TestPortfolio(LearningPredictorContract):
    learns = False

    @pytest.fixture
    def make(self) -> type[Portfolio]:
        return Portfolio

    def test_what_was_never_measured_comes_last(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        mean = Portfolio(space=self.space).fit(trials, {}).predict(architectures, Task.table("n"))
        assert mean.mean[:60].min() > mean.mean[60:].max()

    def test_tasks_count_alike_whatever_their_scores_range(
        self, architectures: list[Architecture]
    ) -> None:
        a, b, c = architectures[:3]
        trials = [
            *(trial("wide", x, score) for x, score in ((a, 0.1), (b, 0.9), (c, 0.5))),
            *(trial("narrow", x, score) for x, score in ((a, 0.52), (b, 0.51), (c, 0.50))),
        ]
        mean = Portfolio(space=self.space).fit(trials, {}).predict([a, b, c], Task.table("n")).mean
        assert mean[1] > mean[0] > mean[2]
