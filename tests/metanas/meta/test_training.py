from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from metanas.meta.auto_maml import auto_maml
from metanas.meta.gradient import GradientLearner
from metanas.meta.plan import Plan
from metanas.meta.recipe import ARCHITECTURE, Inner
from metanas.meta.tnas import tnas
from metanas.meta.training import MetaTraining, accuracies
from metanas.networks.four_conv import FourConv
from tests.contracts.drawings import drawn_classes

SHAPE = (1, 12, 12)
TRAIN, OTHER = drawn_classes(12, 6), drawn_classes(6, 6, seed=1)
PLAN = Plan(
    ways=3, shots=1, queries=2, batch=2, iterations=6, every=2, validation_ways=3,
    validation_episodes=3,
)  # fmt: skip
LEARNER = tnas(SHAPE, 3, 12, width=3, stem=3, operations="none,skip_connect,sep_conv_3x3")


def test_a_training_taken_up_again_ends_as_if_it_had_never_stopped() -> None:
    whole = MetaTraining(LEARNER, TRAIN, OTHER, PLAN)
    points = list(whole)
    first = MetaTraining(LEARNER, TRAIN, OTHER, PLAN)
    next(iter(first))
    second = MetaTraining(LEARNER, TRAIN, OTHER, PLAN, state=first.state())
    assert list(second) == points
    assert second.seconds > 0
    for name, value in whole.parameters.items():
        assert torch.equal(second.parameters[name], value)
    assert list(second) == points


def test_the_state_survives_a_file(tmp_path: Path) -> None:
    first = MetaTraining(LEARNER, TRAIN, OTHER, PLAN)
    next(iter(first))
    file = tmp_path / "state.pt"
    torch.save(first.state(), file)
    state = torch.load(file, weights_only=True)
    again = MetaTraining(LEARNER, TRAIN, OTHER, PLAN, state=state)
    assert again.points == first.points
    assert again.iteration == 2


def test_the_state_of_another_learner_is_refused() -> None:
    state = MetaTraining(LEARNER, TRAIN, OTHER, PLAN).state()
    wider = tnas(SHAPE, 3, 12, width=4, stem=3, operations="none,skip_connect,sep_conv_3x3")
    with pytest.raises(ValueError, match=r"of another learner: need weights\..* of shape .* got"):
        MetaTraining(wider, TRAIN, OTHER, PLAN, state=state)


def test_chunks_change_nothing_but_memory() -> None:
    learner = GradientLearner(partial(FourConv, SHAPE, width=3), inner=Inner(lr=0.1), ways=3)
    one = MetaTraining(learner, TRAIN, OTHER, replace(PLAN, batch=3, iterations=2))
    parts = MetaTraining(learner, TRAIN, OTHER, replace(PLAN, batch=3, iterations=2, chunk=2))
    for whole, chunked in zip(one, parts, strict=True):
        assert chunked.loss == pytest.approx(whole.loss, rel=1e-4)
        assert chunked.accuracy == whole.accuracy


def test_time_may_end_it_and_sets_its_course() -> None:
    plan = replace(PLAN, iterations=10**6, every=10**6, seconds=0.2)
    training = MetaTraining(LEARNER, TRAIN, OTHER, plan)
    points = list(training)
    assert 0 < points[-1].iteration < 10**6
    assert len(points) == 1
    assert training.seconds > 0.2
    assert training.progress >= 1
    again = MetaTraining(LEARNER, TRAIN, OTHER, plan, state=training.state())
    assert list(again) == points
    with pytest.raises(ValueError, match="seconds must be above 0"):
        replace(PLAN, seconds=0.0)


def test_factors_of_the_architectures_rates_learn_faster_than_weights() -> None:
    learner = tnas(
        SHAPE, 3, 12, width=3, stem=3, operations="none,skip_connect,sep_conv_3x3",
        warm_up=0.0, hard_from=0.0,
    )  # fmt: skip
    training = MetaTraining(learner, TRAIN, OTHER, replace(PLAN, iterations=1, every=1))
    list(training)
    factors = training.parameters["rates.architecture.normal"]
    assert factors.shape == training.parameters["architecture.normal"].shape
    assert 0.01 < float((factors - 1).abs().max()) <= 0.021


def test_the_best_parameters_are_those_of_the_most_accurate_point() -> None:
    training = MetaTraining(LEARNER, TRAIN, OTHER, PLAN)
    kept = []
    for _ in training:
        kept.append(training.parameters)
    values = [point.accuracy.value for point in training.points]
    best = max(range(len(values)), key=lambda i: (values[i], i))
    assert all(torch.equal(training.best[name], kept[best][name]) for name in training.best)


def test_architecture_and_weights_learn_in_turn_where_a_method_says_so() -> None:
    learner = auto_maml(
        SHAPE, 3, 12, width=3, stem=3, operations="none,skip_connect,sep_conv_3x3", hard_from=0.9
    )
    plan = replace(PLAN, iterations=2, every=1)
    training = MetaTraining(learner, TRAIN, OTHER, plan)
    stages = [learner.initial(0)]
    for _ in training:
        stages.append(training.parameters)

    def moved(one: int, architecture: bool) -> bool:
        names = [n for n in stages[0] if n.startswith(ARCHITECTURE) == architecture]
        return any(not torch.equal(stages[one][n], stages[one + 1][n]) for n in names)

    assert (moved(0, False), moved(0, True)) == (True, False)
    assert (moved(1, False), moved(1, True)) == (False, True)


def test_each_episode_has_its_accuracy_the_same_in_any_number() -> None:
    parameters = LEARNER.initial(0)
    judge = partial(accuracies, LEARNER, parameters, OTHER, ways=3, shots=1, queries=2, seed=5)
    many, few = judge(episodes=35), judge(episodes=4)
    assert many.shape == (35,)
    torch.testing.assert_close(many[:4], few)


def test_a_loss_that_is_no_number_ends_it() -> None:
    learner = GradientLearner(partial(FourConv, SHAPE, width=3), inner=Inner(lr=0.1), ways=3)
    training = MetaTraining(learner, TRAIN, OTHER, PLAN)
    broken = {**training.state(), "parameters": dict(training.parameters)}
    broken["parameters"]["head.bias"] = torch.full((3,), float("nan"))
    with pytest.raises(FloatingPointError, match="no longer finite after 0"):
        list(MetaTraining(learner, TRAIN, OTHER, PLAN, state=broken))


@pytest.mark.parametrize(
    "option",
    [
        {"batch": 0},
        {"iterations": 0},
        {"every": 0},
        {"chunk": 0},
        {"clip": -1.0},
        {"warp": 3.0},
        {"seed": -1},
        {"validation_episodes": 0},
    ],
)
def test_a_plan_out_of_range_is_refused(option: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Plan(**option)  # type: ignore[arg-type]


def test_rates_are_above_zero() -> None:
    with pytest.raises(ValueError, match=r"rates and clip must be above 0, got 0\.0"):
        Plan(lr=0.0)


def test_too_few_classes_are_told_before_anything_is_trained() -> None:
    with pytest.raises(ValueError, match="at least 3 classes"):
        MetaTraining(LEARNER, drawn_classes(2, 6), OTHER, PLAN)
    with pytest.raises(ValueError, match="at least 3 classes"):
        MetaTraining(LEARNER, TRAIN, drawn_classes(2, 6), PLAN)
