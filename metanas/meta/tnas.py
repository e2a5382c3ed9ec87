"""T-NAS: initial weights and an initial architecture that adapt together to a task.

[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.
[Meta-SGD] Li et al. Meta-SGD: Learning to Learn Quickly for Few-Shot Learning. 2017.

The inner step is joint, on weights and logits with rates of their own; the outer one
is of first order, as published. Afterwards each cell keeps its strongest operations.

Differs from the paper: the discrete network keeps its adapted weights, where the
paper trains it anew for every task, hours each. For that to work the gates sharpen
during meta-training; see `metanas.meta.relaxation` and `metanas.meta.gradient`. What is
kept weighs by how much its gate has grown in adapting, and each logit's rate has a learned
factor, as weights have in Meta-SGD: one rate for all logits moved nothing where it was
small, and where it was large it put untrained operations in the place of trained ones.

What it is worth: tasks of a few drawings tell little about operations. From one image a class
of alphabets that were never seen, adapting the architecture changes accuracy by less than 0.2
points, to the worse if anything, and from five, faster steps than those of
`metanas.meta.recipe.SEVERAL` cost half a point or more; `adapt_architecture=False` leaves it
alone. What adapts with profit are the weights.

With an outer gradient that goes through the inner step and a rate ten times as high or more
(`second_order=True`, `architecture_lr=1.0`) tasks come to rely on the architecture's step: leaving
it out then costs up to two points. But a network meta-trained in the same way without that step is
as accurate or more so; the README has the figures.
"""

from __future__ import annotations

from typing import Any

from metanas.meta.gradient import GradientLearner
from metanas.meta.supernet import Super


def tnas(
    input_shape: tuple[int, ...], ways: int, n_classes: int, **options: Any
) -> GradientLearner:
    """On a supernet, for any number of ways.

    Args:
        n_classes: drawn from in meta-training; plays no part.
        options: see `metanas.meta.supernet.Super`.
    """
    return Super.of(options).learner(input_shape)
