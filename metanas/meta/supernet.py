"""Supernets to be meta-learned: the frame, and the logits' shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metanas.meta.recipe import Relaxed
from metanas.meta.relaxation import Cell
from metanas.networks.darts_ops import OPERATIONS, Norm
from metanas.networks.mixed import (
    KINDS,
    CellNetwork,
    Frame,
    cell_edges,
    supernet,
)

PURE = Norm(affine=False, running=False)
"""Of networks whose weights come as arguments: every batch by itself."""

FAST = "none,max_pool_3x3,avg_pool_3x3,skip_connect,sep_conv_3x3,dil_conv_3x3"
"""Operations that train in a few minutes on a CPU; the paper's have kernels of 5 besides."""


@dataclass(frozen=True)
class Super:
    """How a supernet is made.

    Attributes:
        width, nodes, layout, grid: see `metanas.networks.mixed.Frame`.
        stem: channels of each of the stem's convolutions.
        operations: separated by commas, or ``all``.
    """

    width: int = 16
    nodes: int = 2
    layout: str = "nr"
    stem: int = 24
    grid: int = 2
    operations: str = FAST

    @property
    def frame(self) -> Frame:
        """What stands around the operations."""
        return Frame(self.width, self.nodes, self.layout, (self.stem, self.stem), self.grid)

    @property
    def names(self) -> tuple[str, ...]:
        """The operations."""
        return OPERATIONS if self.operations == "all" else tuple(self.operations.split(","))

    def maker(self, input_shape: tuple[int, ...]) -> Callable[[], CellNetwork]:
        """Makes fresh supernets without a head."""
        return lambda: supernet(
            self.frame, input_shape=input_shape, operations=self.names, norm=PURE
        )

    def relaxed(self, *, hard_from: float, against_free: float) -> Relaxed:
        """Its architecture as logits."""
        shape = len(cell_edges(self.nodes)), len(self.names)
        kinds = {KINDS[letter]: shape for letter in sorted(set(self.layout))}
        return Relaxed(
            kinds, self.names, self.nodes, hard_from=hard_from, against_free=against_free
        )

    def discrete_maker(
        self, cells: dict[str, Cell], input_shape: tuple[int, ...]
    ) -> Callable[[], CellNetwork]:
        """Makes fresh networks of these cells without a head."""
        from metanas.spaces.darts import kept

        return lambda: CellNetwork(self.frame, kept(cells), input_shape=input_shape, norm=PURE)
