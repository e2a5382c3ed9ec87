import pytest
import torch

from metanas.meta.batch import batch_of
from metanas.meta.maml import maml
from tasks.episodes import draw
from tests.contracts.drawings import drawn_classes

SHAPE, WAYS = (1, 12, 12), 3


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_our_gradients_are_those_of_the_library(second_order: bool, vectorised: bool) -> None:
    pytest.importorskip("learn2learn", reason="learn2learn comes with the extra few-shot")
    from metanas.meta.learn2learn import Learn2LearnMaml

    tasks = batch_of(draw(drawn_classes(12, 6), range(3), ways=WAYS, shots=2, queries=3, seed=0))
    ours = maml(SHAPE, WAYS, 0, width=8, second_order=second_order, vectorised=vectorised)
    theirs = Learn2LearnMaml(SHAPE, WAYS, width=8, second_order=second_order)
    found = []
    for learner in (ours, theirs):
        parameters = {n: p.requires_grad_() for n, p in learner.initial(0).items()}
        loss = learner.loss(parameters, tasks, progress=1.0)
        torch.autograd.backward(loss.value)
        found.append((loss, {n: p.grad for n, p in parameters.items()}))
    (one, mine), (other, library) = found
    torch.testing.assert_close(one.value, other.value, rtol=1e-5, atol=1e-5)
    for name, gradient in library.items():
        assert gradient is not None
        torch.testing.assert_close(mine[name], gradient, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        ours.logits(ours.initial(0), tasks), theirs.logits(theirs.initial(0), tasks)
    )
