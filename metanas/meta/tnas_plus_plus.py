"""T-NAS++: T-NAS with MAML++'s learned rates and losses after every step.

[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.
"""

from __future__ import annotations

from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import Inner
from metanas.meta.supernet import FAST, Super


def tnas_plus_plus(
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
    steps: int = 2,
    lr: float = 0.05,
    architecture_lr: float = 0.003,
    hard_from: float = 0.5,
    against_free: float = 0.05,
    second_order: bool = False,
    warm_up: float = 0.85,
) -> GradientLearner:
    """On a supernet, for any number of ways; see `metanas.meta.tnas.tnas`."""
    made = Super(width, nodes, layout, stem, grid, operations)
    return GradientLearner(
        made.maker(input_shape),
        inner=Inner(
            steps,
            lr,
            architecture_lr,
            second_order=second_order,
            learned_rates=True,
            every_step=True,
            warm_up=warm_up,
        ),
        relaxed=made.relaxed(hard_from=hard_from, against_free=against_free),
    )
