"""Supernets to be meta-learned: the frame, the logits' shapes, and how both are learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import EVERYTHING, SEVERAL, Inner, Pace, Relaxed
from metanas.meta.relaxation import Cell
from metanas.networks.darts_ops import OPERATIONS, Norm
from metanas.networks.mixed import (
    KINDS,
    CellNetwork,
    Frame,
    cell_edges,
    supernet,
)
from metanas.spaces.darts import Darts, kept

PURE = Norm(affine=False, running=False)
"""Of networks whose weights come as arguments: every batch by itself."""

FAST = "none,max_pool_3x3,avg_pool_3x3,skip_connect,sep_conv_3x3,dil_conv_3x3"
"""Operations that train in a few minutes on a CPU; the paper's have kernels of 5 besides."""


NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
"""What options are called by their types."""


@dataclass(frozen=True)
class Super:
    """How a supernet is made and learned.

    Attributes:
        width, nodes, layout, grid: see `metanas.networks.mixed.Frame`.
        stem: channels of each of the stem's convolutions.
        stem_depth: how many those are.
        operations: separated by commas, or ``all``.
        centred: whether images are; see `metanas.networks.centring`.
        steps, lr, architecture_lr, own_rates, second_order, warm_up: see
            `metanas.meta.recipe.Inner`.
        adapt_ways: its `ways`.
        several_steps, several_lr, several_architecture_lr: its `several`, where
            steps and rates are not 0.
        hard_from, against_free: see `metanas.meta.recipe.Relaxed`.

    Raises:
        ValueError: a value of another type, or out of its range.
    """

    width: int = 16
    nodes: int = 2
    layout: str = "nr"
    stem: int = 24
    stem_depth: int = 3
    grid: int = 2
    operations: str = FAST
    centred: bool = True
    steps: int = 1
    lr: float = 0.05
    architecture_lr: float = 0.03
    own_rates: bool = True
    second_order: bool = False
    warm_up: float = 0.6
    adapt_ways: int = 10
    several_steps: int = SEVERAL.steps
    several_lr: float = SEVERAL.lr
    several_architecture_lr: float = SEVERAL.architecture_lr
    hard_from: float = 0.2
    against_free: float = 0.05

    @classmethod
    def of(
        cls, options: Mapping[str, Any], *, without: Sequence[str] = (), **defaults: Any
    ) -> Super:
        """With these options, the others by default.

        Args:
            without: options that play no part.

        Raises:
            ValueError: an unknown option, one that plays no part, or one with a value that is
                none of its.
        """
        known = [each.name for each in fields(cls) if each.name not in without]
        for name in options:
            if name in without:
                raise ValueError(f"option {name!r} plays no part; there are {', '.join(known)}")
            if name not in known:
                raise ValueError(f"no option {name!r}; there are {', '.join(known)}")
        return cls(**{**defaults, **options})

    def __post_init__(self) -> None:
        for each in fields(self):
            value, wanted = getattr(self, each.name), type(each.default)
            # A whole number will do for any other; what is true or false is no number.
            fits = type(value) is wanted or (wanted is float and type(value) is int)
            if not fits or (wanted is float and not math.isfinite(value)):
                raise ValueError(f"option {each.name} is {NOUNS[wanted]}, got {value!r}")
        for name in ("warm_up", "hard_from"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"option {name} is a share, got {getattr(self, name)}")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"option operations names each once, got {self.operations!r}")
        _ = self.frame, self.inner  # which check their numbers

    @property
    def frame(self) -> Frame:
        """What stands around the operations."""
        return self.space.frame

    @property
    def space(self) -> Darts:
        """That of what is derived."""
        return Darts(
            self.width, self.nodes, self.layout, self.stem, self.grid, stem_depth=self.stem_depth
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The operations."""
        return OPERATIONS if self.operations == "all" else tuple(self.operations.split(","))

    @property
    def inner(self) -> Inner:
        """How one task is learned."""
        return Inner(
            self.steps,
            self.lr,
            self.architecture_lr,
            second_order=self.second_order,
            own_rates=self.own_rates,
            warm_up=self.warm_up,
            ways=self.adapt_ways,
            several=self.several,
        )

    @property
    def several(self) -> Pace:
        """With several images a class; what is told not to adapt does not then either."""
        return Pace(
            self.several_steps if self.steps else 0,
            self.several_lr if self.lr else 0.0,
            self.several_architecture_lr if self.architecture_lr else 0.0,
        )

    @property
    def relaxed(self) -> Relaxed:
        """Its architecture as logits."""
        shape = len(cell_edges(self.nodes)), len(self.names)
        kinds = {KINDS[letter]: shape for letter in sorted(set(self.layout))}
        return Relaxed(
            kinds,
            self.names,
            self.nodes,
            hard_from=self.hard_from,
            against_free=self.against_free,
        )

    def maker(self, input_shape: tuple[int, ...]) -> Callable[[], CellNetwork]:
        """Makes fresh supernets without a head."""
        return lambda: supernet(
            self.frame, input_shape=input_shape, operations=self.names, norm=PURE
        )

    def discrete_maker(
        self, cells: dict[str, Cell], input_shape: tuple[int, ...]
    ) -> Callable[[], CellNetwork]:
        """Makes fresh networks of these cells without a head."""
        return lambda: CellNetwork(self.frame, kept(cells), input_shape=input_shape, norm=PURE)

    def learner(
        self,
        input_shape: tuple[int, ...],
        *,
        inner: Inner | None = None,
        turns: tuple[tuple[str, ...], ...] = EVERYTHING,
    ) -> GradientLearner:
        """Learns weights and architecture together, or in turns."""
        return GradientLearner(
            self.maker(input_shape),
            inner=self.inner if inner is None else inner,
            relaxed=self.relaxed,
            derive=lambda cells: self.discrete_maker(cells, input_shape)(),
            centred=self.centred,
            turns=turns,
        )
