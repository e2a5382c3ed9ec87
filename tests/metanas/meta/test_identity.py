from dataclasses import replace

import torch

from metanas.meta.identity import identity
from metanas.meta.plan import Plan
from tests.contracts.drawings import drawn_classes

TRAIN, OTHER = drawn_classes(6, 4), drawn_classes(3, 4, seed=1)


def test_every_part_tells_meta_trainings_apart() -> None:
    labels = TRAIN.labels.roll(1)
    pixel = TRAIN.images.clone()
    pixel[0, 0, 0, 0] += 1
    known = {
        identity("tnas", Plan(), TRAIN, OTHER),
        identity("maml", Plan(), TRAIN, OTHER),
        identity("tnas", Plan(seed=1), TRAIN, OTHER),
        identity("tnas", Plan(), OTHER, TRAIN),
        identity("tnas", Plan(), replace(TRAIN, turned=True), OTHER),
        identity("tnas", Plan(), replace(TRAIN, labels=labels), OTHER),
        identity("tnas", Plan(), replace(TRAIN, images=pixel), OTHER),
        identity("tnas", Plan(), replace(TRAIN, names=("other", *TRAIN.names[1:])), OTHER),
        identity("tnas", Plan(), TRAIN, replace(OTHER, images=OTHER.images.flip(0))),
    }
    assert len(known) == 9


def test_the_same_images_read_again_are_the_same() -> None:
    again = replace(TRAIN, images=torch.from_numpy(TRAIN.images.numpy().copy()))
    assert identity("tnas", Plan(), again, OTHER) == identity("tnas", Plan(), TRAIN, OTHER)
