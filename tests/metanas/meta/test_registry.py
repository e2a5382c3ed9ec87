from functools import partial

import pytest

from metanas.meta import METHODS
from metanas.meta.learner import MetaLearner
from metanas.meta.meta_architecture import SEARCHING
from tests.contracts.meta_learner import SHAPE, WAYS, MetaLearnerContract

FEW = {"width": 4, "stem": 4, "operations": "none,skip_connect,sep_conv_3x3"}


def test_every_method_is_registered_under_its_files_name() -> None:
    for key, make in METHODS.items():
        assert make.__module__ == f"metanas.meta.{key}"


def test_those_with_an_architecture_are_methods() -> None:
    assert all(METHODS[name] is make for name, make in SEARCHING.items())


def small(name: str) -> MetaLearner:
    return partial(METHODS[name], SHAPE, WAYS, 12)(**(FEW if name in SEARCHING else {"width": 4}))


class TestTnas(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return small("tnas")


class TestTnasPlusPlus(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return small("tnas_plus_plus")


class TestAutoMaml(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return small("auto_maml")


class TestMaml(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return small("maml")


class TestMamlPlusPlus(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return small("maml_plus_plus")


class TestProtoMaml(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return METHODS["maml"](SHAPE, WAYS, 12, width=4, prototypical=True)


class TestFineTuningOfPrototypes(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return METHODS["fine_tuning"](SHAPE, WAYS, 12, width=4, prototypical=True)


class TestProtonet(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return small("protonet")


class TestFineTuning(MetaLearnerContract):
    @pytest.fixture
    def learner(self) -> MetaLearner:
        return small("fine_tuning")
