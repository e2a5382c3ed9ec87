"""T-NAS: initial weights and an initial architecture that adapt together to a task.

[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.

The inner step is joint, on weights and logits with rates of their own; the outer one
is of first order, as published. Afterwards each cell keeps its strongest operations.

Differs from the paper: the discrete network keeps its adapted weights, where the
paper trains it anew for every task, hours each. For that to work the gates sharpen
during meta-training; see `metanas.meta.relaxation` and `metanas.meta.gradient`.
"""

from __future__ import annotations

from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import Inner
from metanas.meta.supernet import FAST, Super


def tnas(
    input_shape: tuple[int, ...],
    ways: int,
    n_classes: int,
    *,
    width: int = 16,
    nodes: int = 2,
    layout: str = "nr",
    stem: int = 24,
    grid: int = 2,
    operations: str = FAST,
    steps: int = 1,
    lr: float = 0.05,
    architecture_lr: float = 0.003,
    hard_from: float = 0.5,
    against_free: float = 0.05,
    second_order: bool = False,
    warm_up: float = 0.85,
) -> GradientLearner:
    """On a supernet, for any number of ways.

    Args:
        n_classes: drawn from in meta-training; plays no part.
    """
    made = Super(width, nodes, layout, stem, grid, operations)
    return GradientLearner(
        made.maker(input_shape),
        inner=Inner(steps, lr, architecture_lr, second_order=second_order, warm_up=warm_up),
        relaxed=made.relaxed(hard_from=hard_from, against_free=against_free),
    )
