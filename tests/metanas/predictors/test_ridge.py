import pytest

from metanas.predictors.ridge import Ridge
from tests.contracts.predictor import LearningPredictorContract


class TestRidge(LearningPredictorContract):
    @pytest.fixture
    def make(self) -> type[Ridge]:
        return Ridge
