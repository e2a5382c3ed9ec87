from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from metanas.meta.batch import batch_of
from metanas.meta.deploy import deploy
from metanas.meta.meta_architecture import MetaArchitecture
from metanas.meta.recipe import SCALE
from tasks.episodes import draw
from tests.contracts.drawings import drawn_classes

SHAPE = (1, 12, 12)
META = MetaArchitecture.fresh(
    "tnas", {"width": 4, "stem": 4, "operations": "none,max_pool_3x3,sep_conv_3x3"}, SHAPE, seed=0
)
EPISODES = draw(drawn_classes(6, 6), [0], ways=3, shots=4, queries=2, seed=0)


@pytest.mark.parametrize("centred", [True, False])
def test_the_network_judges_its_support_as_the_discrete_supernet_does(centred: bool) -> None:
    meta = replace(META, options={**META.options, "centred": centred})
    support = EPISODES.support[0]
    network = deploy(meta, META.parameters, META.cells(META.parameters), support, 3)
    batch = batch_of(EPISODES)
    judged = type(batch)(
        batch.support, batch.support_labels, batch.support, batch.support_labels, batch.classes
    )
    expected = meta.learner.logits(META.parameters, judged, steps=0)[0]
    found = network(support.float() / 255)
    # Statistics of a batch are of unbiased variance once they are kept.
    torch.testing.assert_close(
        functional.softmax(found, 1), functional.softmax(expected, 1), rtol=0.05, atol=0.02
    )
    assert torch.equal(found.argmax(1), expected.argmax(1))


def test_what_an_adapted_architecture_keeps_weighs_by_how_much_it_has_grown() -> None:
    meta = replace(META, options={**META.options, "several_architecture_lr": 0.1, "warm_up": 0.0})
    support = EPISODES.support[0]
    batch = batch_of(EPISODES)
    adapted = meta.learner.adapt(meta.parameters, batch)
    own = {**meta.parameters, **{name: value[0] for name, value in adapted.items()}}
    network = deploy(meta, own, meta.cells(own), support, 3)
    weights = [b for name, b in network.named_buffers() if "gates_" in name]
    assert all((weight - 1).abs().max() > 0.01 for weight in weights)
    judged = type(batch)(
        batch.support, batch.support_labels, batch.support, batch.support_labels, batch.classes
    )
    expected = meta.learner.logits(meta.parameters, judged)[0]
    torch.testing.assert_close(
        functional.softmax(network(support.float() / 255), 1),
        functional.softmax(expected, 1),
        rtol=0.05,
        atol=0.02,
    )


def test_it_judges_an_image_alone() -> None:
    network = deploy(META, META.parameters, META.cells(META.parameters), EPISODES.support[0], 3)
    assert not network.training
    images = EPISODES.query[0].float() / 255
    torch.testing.assert_close(network(images)[2:3], network(images[2:3]))


def test_it_holds_copies() -> None:
    before = {name: p.clone() for name, p in META.parameters.items()}
    network = deploy(META, META.parameters, META.cells(META.parameters), EPISODES.support[0], 3)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
    assert all(torch.equal(META.parameters[name], p) for name, p in before.items())
    assert META.parameters[SCALE] > 0
