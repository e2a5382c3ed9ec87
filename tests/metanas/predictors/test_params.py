import pytest

from metadata_store.records import Architecture, Task
from metanas.predictors.params import Params
from metanas.spaces.table import TableSpace
from tests.contracts.predictor import PredictorContract
from tests.contracts.trials import a_trial


class TestParams(PredictorContract):
    @pytest.fixture
    def make(self) -> type[Params]:
        return Params

    def test_in_a_table_counts_come_from_the_trials(self) -> None:
        trials = [
            a_trial(architecture=Architecture("nets", {"a": a, "b": b}), extras={"params": n})
            for a, b, n in (("x", "x", 10.0), ("x", "y", 30.0), ("y", "x", 20.0))
        ]
        predictor = Params(space=TableSpace.of(trials)).fit(trials, {})
        unseen = [Architecture("nets", {"a": "y", "b": "y"}), trials[0].architecture]
        mean = predictor.predict(unseen, Task.table("new")).mean
        assert mean[0] > mean[1]

    def test_a_table_without_counts_is_refused(self) -> None:
        trials = [a_trial(extras={})]
        predictor = Params(space=TableSpace.of(trials)).fit(trials, {})
        with pytest.raises(ValueError, match="params"):
            predictor.predict([trials[0].architecture], Task.table("new"))
