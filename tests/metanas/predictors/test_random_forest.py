import pytest

from metanas.predictors.random_forest import RandomForest
from tests.contracts.predictor import LearningPredictorContract


class TestRandomForest(LearningPredictorContract):
    @pytest.fixture
    def make(self) -> type[RandomForest]:
        return RandomForest
