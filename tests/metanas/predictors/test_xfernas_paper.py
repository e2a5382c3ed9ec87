from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.xfernas_paper import XferNASPaper
from metanas.protocols import Predictor
from metanas.spaces import NasBench201
from tests.contracts.predictor import LearningPredictorContract, pretended, trial
from tests.contracts.strategy import some_cells, stopped


class TestXferNASPaper(LearningPredictorContract):
    @pytest.fixture
    def make(self) -> Callable[..., Predictor]:
        return partial(XferNASPaper, epochs=60)

    def test_without_target_trials_the_prediction_is_the_universal_one(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        fitted = XferNASPaper(space=self.space, epochs=5).fit(trials, {})
        new = fitted.predict(architectures, Task.table("new")).mean
        np.testing.assert_allclose(new, fitted.universal(architectures), rtol=1e-6)
        assert np.abs(fitted.predict(architectures, Task.table("one")).mean - new).max() > 1e-4

    def test_own_trials_are_learned_by_a_copy(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        fitted = XferNASPaper(space=self.space, epochs=5, more_epochs=40).fit(trials, {})
        before = fitted.predict(architectures, Task.table("new")).mean
        cells = some_cells(30, 7)
        own = OwnTrials.of([trial("new", each, -pretended(each)) for each in cells])
        after = fitted.with_own(own).predict(cells, Task.table("new")).mean
        assert np.corrcoef(after, own.scores)[0, 1] > 0.5
        np.testing.assert_array_equal(fitted.predict(architectures, Task.table("new")).mean, before)

    def test_what_is_decoded_is_new_valid_and_ordered(self, trials: list[Trial]) -> None:
        fitted = XferNASPaper(space=self.space, epochs=60).fit(trials, {})
        known = {each.architecture.key for each in trials}
        found = fitted.improved(10, lambda each: each.key not in known)
        assert found
        assert not {each.key for each in found} & known
        scores = fitted.predict(found, Task.table("new")).mean
        assert (np.diff(scores) <= 1e-6).all()
        measured = [pretended(each.architecture) for each in trials]
        assert np.mean([pretended(each) for each in found]) > np.mean(measured)

    def test_a_bound_below_what_is_predicted_teaches_nothing(self, trials: list[Trial]) -> None:
        fitted = XferNASPaper(space=self.space, epochs=60, more_epochs=1).fit(trials, {})
        good = max(some_cells(50), key=pretended)
        others = some_cells(12, 9)
        own = [trial("new", each, pretended(each)) for each in others]
        bounded = fitted.with_own(OwnTrials.of([*own, stopped(good, 0.3)]))
        row = bounded.predict([good], Task.table("new")).mean
        assert row > np.quantile(bounded.predict(others, Task.table("new")).mean, 0.7)


def test_epochs_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0 and 5"):
        XferNASPaper(space=NasBench201(), epochs=0, more_epochs=5)
