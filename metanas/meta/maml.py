"""MAML: initial weights from which a few gradient steps suffice, and a learned head.

[MAML] Finn, Abbeel and Levine. Model-Agnostic Meta-Learning for Fast Adaptation of Deep
Networks. ICML 2017. `second_order=False` is its first-order form.
"""

from __future__ import annotations

from functools import partial

from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import SEVERAL, Inner
from metanas.networks.four_conv import FourConv


def maml(
    input_shape: tuple[int, ...],
    ways: int,
    n_classes: int,
    *,
    width: int = 32,
    steps: int = 1,
    lr: float = 0.4,
    second_order: bool = True,
    vectorised: bool = True,
    prototypical: bool = False,
    centred: bool = False,
) -> GradientLearner:
    """On the four-conv network.

    Args:
        n_classes: drawn from in meta-training; plays no part.
        vectorised: all tasks at once, which on one CPU core is a little faster than a loop
            over them, and on a GPU much.
        prototypical: whether the head is made of prototypes, for any number of ways
            (Proto-MAML).
        centred: whether images are; see `metanas.networks.centring`.
    """
    return GradientLearner(
        partial(FourConv, input_shape, width=width),
        inner=Inner(
            steps=steps,
            lr=lr,
            second_order=second_order,
            several=SEVERAL if prototypical else None,
        ),
        ways=None if prototypical else ways,
        vectorised=vectorised,
        centred=centred,
    )
