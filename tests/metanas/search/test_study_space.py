import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from metadata_store.batch import Trials
from metadata_store.records import Architecture
from metanas.search.study_space import StudySpace, as_architecture, nearest_value
from tests.contracts.searches import source_trials_of

NOTHING = Trials.of([])


def asked_of(*questions: dict[str, optuna.distributions.BaseDistribution]) -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for distributions in questions:
        study.tell(study.ask(distributions), 0.0)
    return study


def test_nothing_is_known_before_the_first_trial_of_an_empty_store() -> None:
    assert StudySpace("s", NOTHING)([]) is None


def test_before_the_first_trial_the_space_is_what_other_tasks_have() -> None:
    space = StudySpace("mini", Trials.of(source_trials_of(["one"])))([])
    assert space is not None
    assert set(space.domain) == {"kind", "size", "rate"}


def test_a_studys_parameters_are_the_choices() -> None:
    study = asked_of(
        {
            "lr": FloatDistribution(1e-4, 1.0, log=True),
            "layers": IntDistribution(1, 5),
            "act": CategoricalDistribution(["relu", None, True]),
        }
    )
    space = StudySpace("s", NOTHING)(study.trials)
    assert space is not None
    by_name = {each.name: each for each in space.parameters}
    assert (by_name["lr"].low, by_name["lr"].high, by_name["lr"].log) == (1e-4, 1.0, True)
    assert (by_name["layers"].integer, by_name["layers"].high) == (True, 5)
    assert by_name["act"].values == ("relu", "None", True)
    assert not any(each.optional for each in space.parameters)
    for each in study.trials:
        space.validate(as_architecture("s", each.params, list(space.domain)))


def test_a_parameter_that_only_some_trials_have_is_optional() -> None:
    one, two = FloatDistribution(0, 1), IntDistribution(0, 3)
    space = StudySpace("s", NOTHING)(asked_of({"a": one}, {"a": one, "b": two}).trials)
    assert space is not None
    assert {each.name: each.optional for each in space.parameters} == {"a": False, "b": True}


def test_ranges_cover_the_study_and_the_other_tasks() -> None:
    known = Trials.of(source_trials_of(["one"]))
    study = asked_of(
        {
            "kind": CategoricalDistribution(["b", "d"]),
            "size": IntDistribution(4, 20),
            "rate": FloatDistribution(0.1, 0.2),
        }
    )
    space = StudySpace("mini", known)(study.trials)
    assert space is not None
    for architecture in known.architectures:
        space.validate(architecture)
    by_name = {each.name: each for each in space.parameters}
    assert by_name["size"].high == 20
    assert set(by_name["kind"].values) == {"a", "b", "c", "d"}


number = st.floats(-1e3, 1e3)


@given(low=st.integers(-50, 50), steps=st.integers(0, 20), step=st.integers(1, 9), value=number)
def test_the_nearest_integer_is_allowed(low: int, steps: int, step: int, value: float) -> None:
    distribution = IntDistribution(low, low + steps * step, step=step)
    near = nearest_value(distribution, value)
    assert distribution._contains(distribution.to_internal_repr(near))
    assert abs(near - min(max(value, low), distribution.high)) <= step


@given(low=number, width=st.floats(0.01, 50), value=number)
def test_the_nearest_number_is_allowed(low: float, width: float, value: float) -> None:
    for distribution in (
        FloatDistribution(low, low + width),
        FloatDistribution(round(low), round(low) + 2.0, step=0.25),
        # Three steps of 0.1 are a rounding error more than 0.3.
        FloatDistribution(0.0, 0.3, step=0.1),
    ):
        near = nearest_value(distribution, value)
        assert distribution._contains(distribution.to_internal_repr(near))


@pytest.mark.parametrize(
    ("choices", "choice", "near"),
    [
        (["a", "b"], "b", "b"),
        (["a", "b"], "c", None),
        ([1, True], True, True),
        ([16, 32, 64], 30, 32),
        ([0.1, "auto"], 0.3, 0.1),
        (["a", None], "None", None),
    ],
)
def test_the_nearest_category(choices: list[object], choice: object, near: object) -> None:
    found = nearest_value(CategoricalDistribution(choices), choice)  # type: ignore[arg-type]
    assert found is near or found == near


def test_text_is_no_number() -> None:
    assert nearest_value(FloatDistribution(0, 1), "0.5") is None
    assert nearest_value(IntDistribution(0, 1), True) is None


def test_only_the_spaces_part_of_the_parameters_is_the_architecture() -> None:
    params = {"a": 1, "b": None, "other": math.pi}
    assert as_architecture("s", params, ["a", "b", "c"]) == Architecture("s", {"a": 1, "b": "None"})
