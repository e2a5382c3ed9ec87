"""Prototypical networks: an image is of the class whose mean features are nearest.

[Prototypes] Snell, Swersky and Zemel. Prototypical Networks for Few-Shot Learning.
NeurIPS 2017. Nothing adapts: a control that shows what adaptation adds.
"""

from __future__ import annotations

from functools import partial

from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import Inner
from metanas.networks.four_conv import FourConv


def protonet(
    input_shape: tuple[int, ...],
    ways: int,
    n_classes: int,
    *,
    width: int = 32,
    centred: bool = False,
) -> GradientLearner:
    """On the four-conv network, for any number of ways; see `metanas.meta.maml.maml`."""
    return GradientLearner(
        partial(FourConv, input_shape, width=width), inner=Inner(steps=0), centred=centred
    )
