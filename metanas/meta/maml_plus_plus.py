"""MAML++: MAML that learns a rate for each layer and step, from the losses after all steps.

[MAML++] Antoniou, Edwards and Storkey. How to Train Your MAML. ICLR 2019.
Left out: statistics of normalisation for each step, since batches are normalised by
themselves, and the change from first to second order on the way; choose one.
"""

from __future__ import annotations

from functools import partial

from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import Inner
from metanas.networks.four_conv import FourConv


def maml_plus_plus(
    input_shape: tuple[int, ...],
    ways: int,
    n_classes: int,
    *,
    width: int = 32,
    steps: int = 3,
    lr: float = 0.1,
    second_order: bool = True,
    vectorised: bool = True,
    prototypical: bool = False,
    centred: bool = False,
) -> GradientLearner:
    """On the four-conv network; see `metanas.meta.maml.maml`."""
    return GradientLearner(
        partial(FourConv, input_shape, width=width),
        inner=Inner(
            steps=steps, lr=lr, second_order=second_order, learned_rates=True, every_step=True
        ),
        ways=None if prototypical else ways,
        vectorised=vectorised,
        centred=centred,
    )
