"""What every predictor must do."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.protocols import Predictor
from metanas.spaces import NasBench201
from metanas.spaces.random_chooser import RandomChooser

WORTH = {
    "none": 0.0,
    "skip_connect": 0.3,
    "avg_pool_3x3": 0.2,
    "nor_conv_1x1": 0.7,
    "nor_conv_3x3": 1.0,
}


def pretended(architecture: Architecture) -> float:
    """An accuracy that a predictor can learn: every operation adds its worth."""
    worth = sum(WORTH[str(operation)] for operation in architecture.choices.values())
    return 0.3 + 0.1 * worth


def trial(task: str, architecture: Architecture, score: float, seed: int = 0) -> Trial:
    """A completed trial of one epoch."""
    curve = LearningCurve("accuracy", (1,), (score,))
    extras = {"params": 1000.0 * score}
    return Trial(task, architecture, curve, TrialState.COMPLETED, seed, "made up", 1.0, extras)


class PredictorContract:
    """Subclass it with a fixture ``make``, a class that takes ``space``."""

    learns = True
    """Whether it can rank architectures that no trial measured."""

    space = NasBench201()
    tasks: ClassVar = {name: Task.table(name) for name in ("one", "two")}

    @pytest.fixture
    def architectures(self) -> list[Architecture]:
        chooser = RandomChooser(np.random.default_rng(0))
        drawn = [self.space.suggest(chooser) for _ in range(140)]
        return list(dict.fromkeys(drawn))

    @pytest.fixture
    def trials(self, architectures: list[Architecture]) -> list[Trial]:
        return [
            trial(task, architecture, scale * pretended(architecture))
            for task, scale in (("one", 1.0), ("two", 0.5))
            for architecture in architectures[:60]
        ]

    @pytest.fixture
    def predictor(self, make: Callable[..., Predictor]) -> Predictor:
        return make(space=self.space)

    def test_fit_returns_itself_and_predictions_have_one_entry_each(
        self, predictor: Predictor, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        assert predictor.fit(trials, self.tasks) is predictor
        prediction = predictor.predict(architectures, Task.table("new"))
        assert prediction.mean.shape == prediction.std.shape == (len(architectures),)
        assert prediction.mean.dtype == prediction.std.dtype == np.float64
        assert np.isfinite(prediction.mean).all()
        assert (prediction.std >= 0).all()

    def test_ranks_like_the_scores_it_learned(
        self, predictor: Predictor, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        rows = architectures[60:] if self.learns else architectures[:60]
        mean = predictor.fit(trials, self.tasks).predict(rows, Task.table("new")).mean
        truth = [pretended(architecture) for architecture in rows]
        assert np.corrcoef(mean, truth)[0, 1] > 0.5

    def test_a_batch_teaches_the_same_as_its_trials(
        self,
        make: Callable[..., Predictor],
        trials: list[Trial],
        architectures: list[Architecture],
    ) -> None:
        task = Task.table("new")
        of_list = make(space=self.space).fit(trials, self.tasks).predict(architectures, task)
        batch = Trials.of(trials)
        of_batch = make(space=self.space).fit(batch, self.tasks).predict(architectures, task)
        np.testing.assert_array_equal(of_list.mean, of_batch.mean)
        np.testing.assert_array_equal(of_list.std, of_batch.std)

    def test_trials_without_a_score_are_passed_over(
        self,
        make: Callable[..., Predictor],
        trials: list[Trial],
        architectures: list[Architecture],
    ) -> None:
        task = Task.table("new")
        failed = Trial(
            "one",
            architectures[0],
            LearningCurve("accuracy", (1,), (math.nan,)),
            TrialState.FAILED,
            9,
            "made up",
        )
        with_it = make(space=self.space).fit([*trials, failed], self.tasks)
        without = make(space=self.space).fit(trials, self.tasks)
        np.testing.assert_array_equal(
            with_it.predict(architectures, task).mean, without.predict(architectures, task).mean
        )

    def test_a_prediction_does_not_depend_on_what_else_is_asked(
        self, predictor: Predictor, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        predictor.fit(trials, self.tasks)
        task = Task.table("new")
        all_of_them = predictor.predict(architectures, task).mean
        some = predictor.predict(architectures[5:9], task).mean
        np.testing.assert_allclose(some, all_of_them[5:9], rtol=1e-4, atol=1e-5)

    def test_tasks_whose_records_are_missing_are_tables(
        self, predictor: Predictor, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        mean = predictor.fit(trials, {}).predict(architectures, Task.table("new")).mean
        assert np.isfinite(mean).all()

    def test_survives_pickling(
        self, predictor: Predictor, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        predictor.fit(trials, self.tasks)
        copy = pickle.loads(pickle.dumps(predictor))
        task = Task.table("new")
        np.testing.assert_array_equal(
            copy.predict(architectures, task).mean, predictor.predict(architectures, task).mean
        )


class LearningPredictorContract(PredictorContract):
    """Of predictors that learn from trials, which is all but the trivial ones."""

    def test_predicting_before_fitting_is_refused(
        self, predictor: Predictor, architectures: list[Architecture]
    ) -> None:
        with pytest.raises(ValueError, match="not fitted"):
            predictor.predict(architectures, Task.table("new"))

    def test_fitting_on_nothing_is_refused(self, predictor: Predictor) -> None:
        with pytest.raises(ValueError, match="nasbench201"):
            predictor.fit([], {})

    def test_fitting_on_another_space_is_refused(self, predictor: Predictor) -> None:
        stranger = trial("one", Architecture("another space", {"a": 1}), 0.5)
        with pytest.raises(ValueError, match="another space"):
            predictor.fit([stranger], {})

    def test_one_trial_is_enough(
        self, predictor: Predictor, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        mean = predictor.fit(trials[:1], self.tasks).predict(architectures, Task.table("new")).mean
        assert np.isfinite(mean).all()
