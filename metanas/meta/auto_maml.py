"""Auto-MAML: one meta-learned architecture for all tasks; only weights adapt.

[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020, section 3.2. Weights and architecture learn in turn, from two halves of the
meta-training classes. The outer gradient is that at the adapted weights, before anything
is put back. Once only the strongest operations are met the architecture rests: every other turn
then passes without a step.
"""

from __future__ import annotations

from typing import Any

from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import ARCHITECTURE, HEAD, RATES, WEIGHTS
from metanas.meta.supernet import Super

ADAPTING = "architecture_lr", "own_rates", "several_architecture_lr"


def auto_maml(
    input_shape: tuple[int, ...], ways: int, n_classes: int, **options: Any
) -> GradientLearner:
    """On a supernet, for any number of ways; see `metanas.meta.tnas.tnas`.

    Args:
        options: but those of an architecture that adapts.
    """
    made = Super.of(options, without=ADAPTING)
    return made.learner(
        input_shape,
        inner=made.inner.of_weights,
        turns=((WEIGHTS, HEAD, RATES), (ARCHITECTURE,)),
    )
