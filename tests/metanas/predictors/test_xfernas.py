from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.universal import Universal
from metanas.predictors.xfernas import XferNAS
from metanas.protocols import Predictor
from metanas.spaces import NasBench201
from tests.contracts.predictor import LearningPredictorContract, pretended, trial
from tests.contracts.strategy import some_cells

QUICK = partial(XferNAS, members=2, steps=40)


class TestXferNAS(LearningPredictorContract):
    @pytest.fixture
    def make(self) -> Callable[..., Predictor]:
        return QUICK

    def test_without_target_trials_the_prediction_is_the_universal_one(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        task = Task.table("new")
        prediction = QUICK(space=self.space).fit(trials, self.tasks).predict(architectures, task)
        alone = Universal(trials, self.tasks, self.space, members=2, steps=40, seed=0)
        mean, std = alone.expected(alone.place(architectures), task)
        np.testing.assert_array_equal(prediction.mean, mean)
        np.testing.assert_array_equal(prediction.std, std)

    def test_target_trials_correct_the_universal_part(self, trials: list[Trial]) -> None:
        cells = some_cells(80, 3)
        own = [trial("new", each, 1.0 - pretended(each)) for each in cells[:40]]
        predictor = QUICK(space=self.space).fit([*trials, *own], self.tasks)
        found = predictor.predict(cells[40:], Task.table("new")).mean
        truth = [1.0 - pretended(each) for each in cells[40:]]
        assert np.corrcoef(found, truth)[0, 1] > 0.5
        assert np.abs(found - truth).mean() < 0.1

    def test_intervals_hold_what_they_promise(self, trials: list[Trial]) -> None:
        cells = some_cells(120, 4)
        rng = np.random.default_rng(0)
        noisy = {each: pretended(each) + rng.normal(0, 0.05) for each in cells}
        own = [trial("new", each, noisy[each]) for each in cells[:30]]
        predictor = QUICK(space=self.space).fit([*trials, *own], self.tasks)
        found = predictor.predict(cells[30:], Task.table("new"))
        apart = np.abs(found.mean - [noisy[each] for each in cells[30:]]) / found.std
        assert 0.7 < (apart < 1.96).mean() <= 1.0

    def test_weights_are_of_the_other_tasks(self, trials: list[Trial]) -> None:
        weights = QUICK(space=self.space).fit(trials, {}).source_weights(Task.table("one"))
        assert weights == pytest.approx({"two": 1.0})


def test_members_and_steps_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0 and 5"):
        XferNAS(space=NasBench201(), members=0, steps=5)
