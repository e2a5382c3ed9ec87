"""Auto-MAML: one meta-learned architecture for all tasks; only weights adapt.

[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020, section 3.2. Weights and architecture learn in turn, from two halves of the
meta-training classes. The outer gradient is that at the adapted weights, before anything
is put back.
"""

from __future__ import annotations

from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import ARCHITECTURE, HEAD, RATES, WEIGHTS, Inner
from metanas.meta.supernet import FAST, Super


def auto_maml(
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
    hard_from: float = 0.5,
    against_free: float = 0.05,
    second_order: bool = False,
    warm_up: float = 0.85,
) -> GradientLearner:
    """On a supernet, for any number of ways; see `metanas.meta.tnas.tnas`."""
    made = Super(width, nodes, layout, stem, grid, operations)
    return GradientLearner(
        made.maker(input_shape),
        inner=Inner(steps, lr, second_order=second_order, warm_up=warm_up),
        relaxed=made.relaxed(hard_from=hard_from, against_free=against_free),
        turns=((WEIGHTS, HEAD, RATES), (ARCHITECTURE,)),
    )
