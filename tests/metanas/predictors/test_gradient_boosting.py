import pytest

from metanas.predictors.gradient_boosting import GradientBoosting
from tests.contracts.predictor import LearningPredictorContract


class TestGradientBoosting(LearningPredictorContract):
    @pytest.fixture
    def make(self) -> type[GradientBoosting]:
        return GradientBoosting
