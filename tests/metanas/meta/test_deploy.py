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


def test_the_network_judges_its_support_as_the_discrete_supernet_does() -> None:
    support = EPISODES.support[0]
    network = deploy(META, META.parameters, META.cells(META.parameters), support, 3)
    batch = batch_of(EPISODES)
    judged = type(batch)(
        batch.support, batch.support_labels, batch.support, batch.support_labels, batch.classes
    )
    expected = META.learner.logits(META.parameters, judged, steps=0)[0]
    found = network(support.float() / 255)
    # Statistics of a batch are of unbiased variance once they are kept.
    torch.testing.assert_close(
        functional.softmax(found, 1), functional.softmax(expected, 1), rtol=0.05, atol=0.02
    )
    assert torch.equal(found.argmax(1), expected.argmax(1))


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
