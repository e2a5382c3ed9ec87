from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from metanas.meta.batch import Batch, batch_of, views
from metanas.meta.gradient import GradientLearner
from metanas.meta.prototypes import left_out
from metanas.meta.recipe import ARCHITECTURE, HEAD, RATES, SCALE, WEIGHTS, Inner, Pace, Parameters
from metanas.meta.supernet import Super
from metanas.meta.task_network import with_views
from metanas.networks.four_conv import FourConv
from tasks.episodes import draw
from tests.contracts.drawings import drawn_classes

SHAPE = (1, 12, 12)
WAYS = 3
SMALL = Super(width=4, stem=4, operations="none,max_pool_3x3,skip_connect,sep_conv_3x3")
FOUR_CONV = partial(FourConv, SHAPE, width=4)


def batch(n: int = 3) -> Batch:
    drawn = draw(drawn_classes(12, 6), range(n), ways=WAYS, shots=2, queries=3, seed=0)
    return batch_of(drawn)


def doubled(tasks: Batch) -> Batch:
    return replace(tasks, support=tasks.support.double(), query=tasks.query.double())


def leaves(learner: GradientLearner, *, double: bool = False) -> Parameters:
    parameters = learner.initial(0)
    if double:
        parameters = {name: p.double() for name, p in parameters.items()}
    return {name: p.clone().requires_grad_() for name, p in parameters.items()}


def gradients(learner: GradientLearner, tasks: Batch, *, double: bool = False) -> Parameters:
    parameters = leaves(learner, double=double)
    torch.autograd.backward(learner.loss(parameters, tasks, progress=1.0).value)
    return {n: p.grad for n, p in parameters.items() if p.grad is not None}


def plain_maml(learner: GradientLearner, tasks: Batch, *, steps: int, second: bool) -> Parameters:
    """MAML written as a loop over tasks with PyTorch's ordinary autograd."""
    parameters = leaves(learner, double=True)
    body = FOUR_CONV().double()

    def loss(p: Parameters, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = {n.removeprefix(WEIGHTS): v for n, v in p.items() if n.startswith(WEIGHTS)}
        features = functional_call(body, weights, (images,))
        logits = functional.linear(features, p[f"{HEAD}weight"], p[f"{HEAD}bias"])
        return functional.cross_entropy(logits, labels)

    for task in range(len(tasks)):
        fast = parameters
        for _ in range(steps):
            value = loss(fast, tasks.support[task], tasks.support_labels[task])
            found = torch.autograd.grad(value, list(fast.values()), create_graph=second)
            fast = {
                n: p - learner.inner.lr * g for (n, p), g in zip(fast.items(), found, strict=True)
            }
        outer = loss(fast, tasks.query[task], tasks.query_labels[task])
        torch.autograd.backward(outer / len(tasks))
    return {n: p.grad for n, p in parameters.items() if p.grad is not None}


@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("steps", [1, 2])
def test_gradients_are_those_of_a_plain_loop(vectorised: bool, second: bool, steps: int) -> None:
    learner = GradientLearner(
        FOUR_CONV,
        inner=Inner(steps=steps, lr=0.3, second_order=second),
        ways=WAYS,
        vectorised=vectorised,
    )
    tasks = doubled(batch())
    ours = gradients(learner, tasks, double=True)
    theirs = plain_maml(learner, tasks, steps=steps, second=second)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-5, atol=1e-9)


def test_first_and_second_order_differ() -> None:
    tasks = doubled(batch())
    first, second = (
        gradients(
            GradientLearner(FOUR_CONV, inner=Inner(lr=0.3, second_order=order), ways=WAYS),
            tasks,
            double=True,
        )
        for order in (False, True)
    )
    assert any(not torch.allclose(first[n], second[n], rtol=1e-3) for n in first)


@pytest.mark.parametrize("second", [True, False])
def test_a_supernet_mapped_over_tasks_is_the_loop_over_them(second: bool) -> None:
    tasks = doubled(batch())
    found = []
    for vectorised in (True, False):
        learner = GradientLearner(
            lambda: SMALL.maker(SHAPE)().double(),
            inner=Inner(2, 0.05, 0.1, second_order=second, learned_rates=True, every_step=True),
            relaxed=replace(SMALL, against_free=0.1).relaxed,
            vectorised=vectorised,
        )
        found.append(gradients(learner, tasks, double=True))
    mapped, looped = found
    assert mapped.keys() == looped.keys()
    for name, gradient in looped.items():
        torch.testing.assert_close(mapped[name], gradient, rtol=1e-6, atol=1e-9)
    assert any(name.startswith("rates.architecture") for name in mapped)


def test_the_outer_gradient_goes_through_the_steps_of_weights_and_architecture() -> None:
    """T-NAS as meta-trained, once only the strongest operations are met: the loss at a small
    distance along its gradient is as the gradient says, and not as that of first order says."""
    tasks = doubled(batch())
    slopes = {}
    for second in (True, False):
        made = replace(SMALL, second_order=second, adapt_ways=WAYS)
        learner = GradientLearner(
            lambda: SMALL.maker(SHAPE)().double(),
            inner=made.inner,
            relaxed=made.relaxed,
            derive=lambda cells: SMALL.discrete_maker(cells, SHAPE)().double(),
        )
        slopes[second] = gradients(learner, tasks, double=True)
    assert f"{RATES}{ARCHITECTURE}normal" in slopes[True]
    length = sum(float(g.square().sum()) for g in slopes[True].values())
    there, back = (
        learner.loss(
            {
                name: p.detach() + step / length * slopes[True].get(name, torch.zeros_like(p))
                for name, p in leaves(learner, double=True).items()
            },
            tasks,
            progress=1.0,
        ).value.detach()
        for step in (1e-6, -1e-6)
    )
    assert float(there - back) / 2e-6 == pytest.approx(1.0, rel=1e-4)
    first = sum(float((slopes[False][n] * g).sum()) for n, g in slopes[True].items()) / length
    assert first != pytest.approx(1.0, rel=1e-2)


def searching(**options: float | int) -> GradientLearner:
    return GradientLearner(
        SMALL.maker(SHAPE),
        inner=Inner(**{"steps": 1, "lr": 0.05, "architecture_lr": 0.5, **options}),  # type: ignore[arg-type]
        relaxed=replace(SMALL, against_free=0.1).relaxed,
    )


def test_weights_and_architecture_adapt_together_to_each_task() -> None:
    learner = searching()
    parameters = learner.initial(0)
    adapted = learner.adapt(parameters, batch())
    for kind in ("normal", "reduction"):
        name = f"{ARCHITECTURE}{kind}"
        moved = (adapted[name] - parameters[name]).flatten(1).norm(dim=1)
        torch.testing.assert_close(moved, torch.full((3,), 0.5), rtol=1e-3, atol=1e-4)
        assert not torch.allclose(adapted[name][0], adapted[name][1])
    weights = [name for name in adapted if name.startswith(WEIGHTS)]
    assert any(not torch.allclose(adapted[n][0], adapted[n][1]) for n in weights)


def test_each_logit_may_have_a_rate_of_its_own() -> None:
    learner = searching(own_rates=True)
    parameters = learner.initial(0)
    factors = f"{RATES}{ARCHITECTURE}normal"
    assert parameters[factors].shape == parameters[f"{ARCHITECTURE}normal"].shape
    before = learner.adapt(parameters, batch(), discrete=False)
    parameters[factors] = torch.zeros_like(parameters[factors])
    parameters[factors][1, 2] = -1.0
    after = learner.adapt(parameters, batch(), discrete=False)

    def moved(adapted: Parameters) -> torch.Tensor:
        return adapted[f"{ARCHITECTURE}normal"] - parameters[f"{ARCHITECTURE}normal"]

    assert (moved(before) != 0).all()
    assert (moved(after).abs().sum(0) > 0).nonzero().tolist() == [[1, 2]]
    torch.testing.assert_close(moved(after)[:, 1, 2], -moved(before)[:, 1, 2])


def test_factors_play_no_part_for_a_learner_without_them() -> None:
    with_factors, without = searching(own_rates=True), searching()
    parameters = with_factors.initial(0)
    for name in parameters:
        if name.startswith(RATES):
            parameters[name] = 3.0 * parameters[name]
    adapted = without.adapt(parameters, batch())
    expected = without.adapt(without.initial(0), batch())
    for name, value in expected.items():
        torch.testing.assert_close(adapted[name], value)


def test_weights_may_be_left_as_they_are() -> None:
    learner = searching(lr=0.0)
    adapted = learner.adapt(learner.initial(0), batch())
    assert {name.split(".")[0] for name in adapted} == {"architecture"}


def test_the_factors_of_rates_are_learned_by_the_outer_loss() -> None:
    learner = searching(own_rates=True)
    found = gradients(learner, batch())
    for kind in ("normal", "reduction"):
        assert found[f"{RATES}{ARCHITECTURE}{kind}"].abs().sum() > 0


def test_an_adapted_architecture_tells_though_it_keeps_the_same_operations() -> None:
    learner = searching(architecture_lr=0.01, lr=0.0)
    parameters = learner.initial(0)
    for kind in ("normal", "reduction"):  # too far apart for a short step to change their order
        parameters[f"{ARCHITECTURE}{kind}"] = torch.arange(20.0).reshape(5, 4).sin() / 4
    adapted = learner.adapt(parameters, batch())
    kept, before = (learner.network.discrete(each) for each in (adapted, parameters))
    assert kept is not None
    assert before is not None
    same = (kept.masks["normal"] == before.masks["normal"]).flatten(1).all(1)
    assert same.any()
    moved = learner.logits(parameters, batch()) - learner.logits(parameters, batch(), steps=0)
    assert (moved[same].abs().amax((1, 2)) > 1e-4).all()


def test_several_images_of_a_class_are_judged_by_each_other() -> None:
    learner = GradientLearner(FOUR_CONV, inner=Inner(steps=0, several=Pace(1, 0.3)))
    tasks = doubled(batch(1))
    parameters = {name: p.double() for name, p in learner.initial(0).items()}
    body = FOUR_CONV().double()
    weights = {n: p for n, p in parameters.items() if n.startswith(WEIGHTS)}
    given = {n.removeprefix(WEIGHTS): p.clone().requires_grad_() for n, p in weights.items()}
    seen = with_views(tasks.support, views(tasks.support))[0]
    versions = len(seen) // tasks.support.shape[1]
    logits = left_out(functional_call(body, given, (seen,)), WAYS, versions, parameters[SCALE])
    labels = tasks.support_labels[0].repeat_interleave(versions)
    torch.autograd.backward(functional.cross_entropy(logits, labels))
    adapted = learner.adapt(parameters, tasks)
    for name, value in given.items():
        assert value.grad is not None
        stepped = value.detach() - 0.3 * value.grad
        torch.testing.assert_close(adapted[f"{WEIGHTS}{name}"][0], stepped)


@pytest.mark.parametrize("architecture_lr", [0.0, 3.0])
def test_a_supernet_is_judged_so_too_mapped_or_in_a_loop(architecture_lr: float) -> None:
    tasks = doubled(batch())
    found = []
    for vectorised in (True, False):
        learner = GradientLearner(
            lambda: SMALL.maker(SHAPE)().double(),
            inner=Inner(several=Pace(2, 0.05, architecture_lr)),
            relaxed=SMALL.relaxed,
            derive=lambda cells: SMALL.discrete_maker(cells, SHAPE)().double(),
            vectorised=vectorised,
        )
        parameters = {name: p.double() for name, p in learner.initial(0).items()}
        found.append(learner.adapt(parameters, tasks))
    mapped, looped = found
    for name, value in looped.items():
        torch.testing.assert_close(mapped[name], value, rtol=1e-6, atol=1e-9)


def test_steps_that_are_asked_for_are_taken_at_that_pace() -> None:
    tasks, inner = batch(1), Inner(1, 0.3, several=Pace(3, 0.1))
    learner = GradientLearner(FOUR_CONV, inner=inner)
    shorter = GradientLearner(FOUR_CONV, inner=replace(inner, several=Pace(2, 0.1)))
    parameters = learner.initial(0)
    found, wanted = learner.adapt(parameters, tasks, steps=2), shorter.adapt(parameters, tasks)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)


def test_weights_alone_may_be_asked_for() -> None:
    inner = Inner(2, 0.3, 0.1, own_rates=True, several=Pace(3, 0.2, 0.1)).of_weights
    assert inner == Inner(2, 0.3, several=Pace(3, 0.2))


def test_learned_rates_are_for_one_pace() -> None:
    with pytest.raises(ValueError, match="one pace"):
        Inner(learned_rates=True, several=Pace())


def test_several_images_a_class_are_learned_at_a_pace_of_their_own() -> None:
    drawn = drawn_classes(12, 6)
    one, two = (
        batch_of(draw(drawn, [0], ways=WAYS, shots=shots, queries=3, seed=0)) for shots in (1, 2)
    )
    learner = GradientLearner(FOUR_CONV, inner=Inner(1, 0.3, several=Pace(3, 0.1)))
    plain = GradientLearner(FOUR_CONV, inner=Inner(1, 0.3))
    slower = GradientLearner(FOUR_CONV, inner=Inner(5, 0.7, several=Pace(3, 0.1)))
    parameters = learner.initial(0)
    for tasks, same in ((one, plain), (two, slower)):
        found, wanted = learner.adapt(parameters, tasks), same.adapt(parameters, tasks)
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value)
    meta_trained = learner.loss(parameters, two, progress=1.0).value
    torch.testing.assert_close(meta_trained, plain.loss(parameters, two, progress=1.0).value)


def test_queries_leave_the_prototypes_alone() -> None:
    learner = searching(steps=0)
    parameters = learner.initial(0)
    tasks = batch()
    few = replace(tasks, query=tasks.query[:, :4], query_labels=tasks.query_labels[:, :4])
    alone = learner.network.logits(
        {**parameters, **learner.network.origin(parameters)},
        few.query[0],
        tasks.support[0],
        WAYS,
        1.0,
    )
    features = learner.network.features(parameters, tasks.support[0], 1.0)
    means = features.view(WAYS, -1, features.shape[1]).mean(1)
    queries = learner.network.features(parameters, few.query[0], 1.0)
    nearest = torch.cdist(queries, means).argmin(1)
    assert torch.equal(alone.argmax(1), nearest)


def test_an_architecture_may_be_left_as_it_is() -> None:
    learner = searching()
    parameters = learner.initial(0)
    still = learner.adapt(parameters, batch(), adapt_architecture=False)
    assert not any(name.startswith(ARCHITECTURE) for name in still)
    unadapted = learner.logits(parameters, batch(), adapt_architecture=False)
    assert not torch.allclose(unadapted, learner.logits(parameters, batch()))


def test_without_a_step_nothing_moves() -> None:
    learner = searching(steps=0)
    parameters = learner.initial(0)
    adapted = learner.adapt(parameters, batch())
    assert all(torch.equal(adapted[name], parameters[name]) for name in adapted)
    assert learner.logits(parameters, batch()).shape == (3, 9, WAYS)


def test_a_warm_up_learns_features_only() -> None:
    tasks = batch()
    warm, none = searching(warm_up=0.5), searching(steps=0)
    parameters = warm.initial(0)
    early = warm.loss(parameters, tasks, progress=0.4)
    assert torch.equal(early.value, none.loss(parameters, tasks, progress=0.4).value)
    late = warm.loss(parameters, tasks, progress=0.6)
    assert not torch.equal(late.value, none.loss(parameters, tasks, progress=0.6).value)


def test_gates_sharpen_as_meta_training_goes_on() -> None:
    learner = searching()
    temperatures = [learner.temperature(progress) for progress in (0.0, 0.1, 0.2, 1.0)]
    assert temperatures == pytest.approx([1.0, 0.1**0.5, 0.1, 0.1])


def derived(learner: GradientLearner) -> GradientLearner:
    """The same, but computing only what it keeps."""
    return GradientLearner(
        learner.make,
        inner=learner.inner,
        relaxed=learner.relaxed,
        derive=lambda cells: SMALL.discrete_maker(cells, SHAPE)(),
    )


@pytest.mark.parametrize("architecture_lr", [0.01, 0.5])
def test_to_compute_only_what_is_kept_changes_nothing(architecture_lr: float) -> None:
    """A small rate keeps the same of all tasks; a large one makes them differ."""
    whole = searching(steps=2, architecture_lr=architecture_lr)
    alone = derived(whole)
    parameters = whole.initial(0)
    for kind in ("normal", "reduction"):
        parameters[f"{ARCHITECTURE}{kind}"] = torch.arange(20.0).reshape(5, 4).cos() / 10
    kept = alone.network.discrete(alone.adapt(parameters, batch()))
    assert kept is not None
    assert (kept.network is None) == (architecture_lr > 0.1)
    torch.testing.assert_close(
        alone.logits(parameters, batch(), steps=0), whole.logits(parameters, batch(), steps=0)
    )
    own = alone.network.discrete(parameters)
    other = whole.network.discrete(parameters)
    given = {**parameters, **whole.network.origin(parameters)}
    images = batch().query[0]
    torch.testing.assert_close(
        alone.network.features(given, images, 0.1, own),
        whole.network.features(given, images, 0.1, other),
    )


def test_once_it_adapts_a_task_of_many_ways_is_taken_apart() -> None:
    learner = searching(warm_up=0.5, ways=2)
    parameters = learner.initial(0)
    drawn = batch_of(draw(drawn_classes(12, 6), [0], ways=5, shots=2, queries=3, seed=0))
    early = learner.loss(parameters, drawn, progress=0.4)
    assert torch.equal(early.value, searching(steps=0).loss(parameters, drawn, progress=0.4).value)
    late = learner.loss(parameters, drawn, progress=0.6)
    pairs = searching().loss(parameters, drawn.apart(2), progress=0.6)
    torch.testing.assert_close(late.value, pairs.value)


def test_images_may_be_centred_before_all_else() -> None:
    plain, centred = searching(), searching()
    centred.centred = True
    parameters = plain.initial(0)
    for found, expected in (
        (centred.logits(parameters, batch()), plain.logits(parameters, batch().centred())),
        (
            centred.loss(parameters, batch(), progress=1.0).value,
            plain.loss(parameters, batch().centred(), progress=1.0).value,
        ),
    ):
        torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, plain.loss(parameters, batch(), progress=1.0).value)


def test_later_only_the_strongest_operations_are_met_and_the_architecture_rests() -> None:
    learner = searching(steps=0)
    tasks = batch()
    parameters = {n: p.clone().requires_grad_() for n, p in learner.initial(0).items()}
    loss = learner.loss(parameters, tasks, progress=0.5)
    alone = derived(learner).loss(parameters, tasks, progress=0.5)
    torch.testing.assert_close(loss.value, alone.value)
    torch.autograd.backward(loss.value)
    assert parameters[f"{ARCHITECTURE}normal"].grad is None
    unused = [
        name
        for name, p in parameters.items()
        if name.startswith(WEIGHTS) and ".edges." in name and (p.grad is None or not p.grad.any())
    ]
    assert unused


def test_the_loss_pays_for_operations_without_parameters() -> None:
    tasks = batch()
    free, paid = (
        GradientLearner(
            SMALL.maker(SHAPE),
            inner=Inner(steps=0),
            relaxed=replace(SMALL, against_free=weight).relaxed,
        )
        for weight in (0.0, 2.0)
    )
    parameters = free.initial(0)
    one, other = (each.loss(parameters, tasks, progress=1.0) for each in (free, paid))
    assert one.free_share == pytest.approx(2 / 3, abs=0.01)
    assert float(other.value - one.value) == pytest.approx(2 * one.free_share, rel=1e-4)


def test_a_learned_head_is_for_its_ways_only() -> None:
    learner = GradientLearner(FOUR_CONV, inner=Inner(), ways=5)
    with pytest.raises(ValueError, match="for 5 classes, got tasks of 3"):
        learner.logits(learner.initial(0), batch())


def test_a_learned_head_takes_no_warm_up() -> None:
    with pytest.raises(ValueError, match="warm-up"):
        GradientLearner(FOUR_CONV, inner=Inner(warm_up=0.5), ways=5)


def test_a_learned_head_has_one_pace() -> None:
    with pytest.raises(ValueError, match="one pace"):
        GradientLearner(FOUR_CONV, inner=Inner(several=Pace()), ways=WAYS)


def test_a_learned_head_takes_tasks_whole() -> None:
    with pytest.raises(ValueError, match="takes tasks whole"):
        GradientLearner(FOUR_CONV, inner=Inner(ways=3), ways=5)


def test_tasks_are_of_two_ways_at_least() -> None:
    with pytest.raises(ValueError, match="two ways at least, got 1"):
        Inner(ways=1)


@pytest.mark.parametrize("option", [{"steps": -1}, {"lr": -0.1}, {"architecture_lr": -1.0}])
def test_rates_and_steps_are_not_negative(option: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="negative"):
        Inner(**option)  # type: ignore[arg-type]


def test_the_network_itself_is_never_changed() -> None:
    body = FOUR_CONV()
    before = {n: p.clone() for n, p in body.state_dict().items()}
    learner = GradientLearner(lambda: body, inner=Inner(), ways=WAYS)
    gradients(learner, batch())
    assert isinstance(body, nn.Module)
    assert all(torch.equal(p, before[n]) for n, p in body.state_dict().items())
