from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.source_weights import WeighsSources
from metanas.predictors.tapas_paper import TapasPaper
from tests.contracts.predictor import LearningPredictorContract, pretended, trial


class TestTapasPaper(LearningPredictorContract):
    @pytest.fixture
    def make(self) -> Callable[..., TapasPaper]:
        return partial(TapasPaper, epochs=25)

    @pytest.mark.parametrize("option", [{"tau": -0.1}, {"epochs": 0}, {"patience": 0}])
    def test_options_out_of_range_are_refused(self, option: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="need tau"):
            TapasPaper(space=self.space, **option)  # type: ignore[arg-type]

    def test_scores_lie_between_zero_and_one(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        losses = [trial(t.task, t.architecture, -7.0 * (1.0 - (t.score or 0.0))) for t in trials]
        predictor = TapasPaper(space=self.space, epochs=3).fit(losses, self.tasks)
        mean = predictor.predict(architectures, Task.table("new")).mean
        assert 0.0 < mean.min() < mean.max() < 1.0

    def test_tasks_beyond_tau_teach_nothing(self, architectures: list[Architecture]) -> None:
        some = architectures[:40]
        near = {"a": 0.50, "b": 0.51, "c": 0.52}
        trials = [trial(name, a, pretended(a)) for name in near for a in some]
        far = [trial("far", a, 1.0 - pretended(a)) for a in some]
        dcns = {**near, "far": 0.9}
        tasks = {name: replace(Task.table(name), dcn=dcn) for name, dcn in dcns.items()}
        new = replace(Task.table("new"), dcn=0.5)
        with_it, without = (
            TapasPaper(space=self.space, epochs=5).fit(rows, tasks).predict(some, new).mean
            for rows in ([*trials, *far], trials)
        )
        np.testing.assert_allclose(with_it, without)

    def test_kept_tasks_weigh_the_same(self, architectures: list[Architecture]) -> None:
        dcns = {"a": 0.50, "b": 0.51, "c": 0.52, "d": 0.53, "far": 0.9}
        trials = [trial(name, a, pretended(a)) for name in dcns for a in architectures[:2]]
        tasks = {name: replace(Task.table(name), dcn=dcn) for name, dcn in dcns.items()}
        predictor = TapasPaper(space=self.space).fit(trials, tasks)
        assert isinstance(predictor, WeighsSources)
        weights = predictor.source_weights(replace(Task.table("new"), dcn=0.5))
        assert weights == {"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25, "far": 0.0}

    def test_keeps_no_task_before_it_is_fitted(self) -> None:
        with pytest.raises(ValueError, match="not fitted"):
            TapasPaper(space=self.space).source_weights(Task.table("new"))
