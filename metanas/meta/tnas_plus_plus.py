"""T-NAS++: T-NAS with MAML++'s learned rates and losses after every step.

[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.

Rates are learned for steps on views of single images, and so are all steps, however many images
a class has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metanas.meta.gradient import GradientLearner
from metanas.meta.supernet import Super

SEVERAL = "several_steps", "several_lr", "several_architecture_lr"


def tnas_plus_plus(
    input_shape: tuple[int, ...], ways: int, n_classes: int, **options: Any
) -> GradientLearner:
    """On a supernet, for any number of ways; see `metanas.meta.tnas.tnas`.

    Args:
        options: but those of several images a class.
    """
    made = Super.of(options, without=SEVERAL, steps=2)
    inner = replace(made.inner, learned_rates=True, every_step=True, several=None)
    return made.learner(input_shape, inner=inner)
