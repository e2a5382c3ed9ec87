"""Networks of DARTS cells whose edges carry weighted operations: all of them, or one.

[DARTS] Liu, Simonyan and Yang. DARTS: Differentiable Architecture Search. ICLR 2019.
[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.

A supernet has every operation on every edge, a discrete network one operation on two
edges a node. Both are this one class and name their weights alike, so weights learned
in the supernet carry over by name. Their sum on an edge is weighted by gates, which
are buffers: `torch.func.functional_call` puts other weights and gates in their place, and
so a forward pass is a pure function of both.

Layout: a stem, then cells one after the other, each taking the outputs of the two
before it, the features normalised and pooled to a small grid, and a linear layer
where classes are given. A reduction cell halves the size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metanas.networks.darts_ops import (
    MAKERS,
    NONE,
    OPERATIONS,
    PARAMETER_FREE,
    Entry,
    Norm,
    Stem,
)

Edge = tuple[int, int]
Kept = Mapping[Edge, tuple[str, ...]]
"""By edge the operations on it."""

NORMAL, REDUCTION = "normal", "reduction"
KINDS = {"n": NORMAL, "r": REDUCTION}
"""Kinds of cells by their letter in a layout."""

INPUTS = 2
STEM_SIDE = 8
"""The stem halves an image until no side exceeds this, once a convolution at most."""


def cell_edges(nodes: int) -> tuple[Edge, ...]:
    """Every edge of a cell: into each inner node from both inputs and the nodes before it."""
    return tuple((tail, head) for head in range(INPUTS, INPUTS + nodes) for tail in range(head))


@dataclass(frozen=True)
class Frame:
    """What stands around and between the operations.

    Attributes:
        width: channels in a cell.
        nodes: inner nodes of a cell.
        layout: a letter a cell, n for normal, r for reduction.
        stem: channels of the stem's convolutions, the last those of its output.
        grid: the last features are pooled to grid x grid.
    """

    width: int = 16
    nodes: int = 4
    layout: str = "nr"
    stem: tuple[int, ...] = (24, 48)
    grid: int = 1

    def __post_init__(self) -> None:
        if self.width < 1 or self.nodes < 1 or self.grid < 1:
            raise ValueError(
                "need a channel, an inner node and a grid of one place at least, "
                f"got width={self.width}, nodes={self.nodes}, grid={self.grid}"
            )
        if not self.layout or set(self.layout) - set(KINDS):
            raise ValueError(
                f"a layout is a letter a cell, n for normal or r for reduction, got {self.layout!r}"
            )
        if not self.stem or min(self.stem) < 1:
            raise ValueError(f"the stem needs a convolution with channels, got {self.stem}")

    @property
    def features(self) -> int:
        """Numbers an image becomes."""
        return self.nodes * self.width * self.grid**2


class Cell(nn.Module):
    """One cell: the outputs of the two before it to (n, nodes * width, h, w).

    Args:
        kept: operations by edge, those with parameters and those without.
        inputs: channels of both inputs.
        halved: whether the first input is twice as large as the second.
        reduces: whether edges from the inputs have stride 2.
    """

    def __init__(
        self,
        kept: Kept,
        frame: Frame,
        norm: Norm,
        *,
        inputs: tuple[int, int],
        halved: bool,
        reduces: bool,
    ) -> None:
        super().__init__()
        self.nodes = frame.nodes
        self.entries = nn.ModuleList(
            Entry(channels, frame.width, norm, stride=2 if halved and i == 0 else 1)
            for i, channels in enumerate(inputs)
        )
        self.plan: list[tuple[Edge, int, str]] = []  # edge, place among its gates, operation
        self.edges = nn.ModuleDict()
        free: dict[str, nn.Module] = {}
        for edge, operations in kept.items():
            stride = 2 if reduces and edge[0] < INPUTS else 1
            for place, name in enumerate(operations):
                if name == NONE:
                    continue
                self.plan.append((edge, place, name))
                made = MAKERS[name](frame.width, stride, norm)
                if name in PARAMETER_FREE:
                    free.setdefault(f"{name}_{edge[0]}", made)
                else:
                    self.edges[_key(edge, name)] = made
        self.free = nn.ModuleDict(free)
        self.rows = {edge: row for row, edge in enumerate(kept)}

    def forward(self, before: Tensor, last: Tensor, gates: Tensor) -> Tensor:
        nodes = [entry(x) for entry, x in zip(self.entries, (before, last), strict=True)]
        shared: dict[str, Tensor] = {}  # the same for all edges that leave a node
        for head in range(INPUTS, INPUTS + self.nodes):
            terms = []
            for edge, place, name in self.plan:
                if edge[1] != head:
                    continue
                key = f"{name}_{edge[0]}"
                if name in PARAMETER_FREE:
                    if key not in shared:
                        shared[key] = self.free[key](nodes[edge[0]])
                    out = shared[key]
                else:
                    out = self.edges[_key(edge, name)](nodes[edge[0]])
                terms.append(gates[self.rows[edge], place] * out)
            nodes.append(sum(terms[1:], terms[0]))
        return torch.cat(nodes[INPUTS:], dim=1)


class CellNetwork(nn.Module):
    """Images (n, c, h, w) to features (n, frame.features), or logits where classes are given.

    Args:
        kept: by kind of cell the operations by edge.
        n_classes: of the linear layer at the end; None for none.

    Raises:
        ValueError: images too small, or a node without an operation.
    """

    def __init__(
        self,
        frame: Frame,
        kept: Mapping[str, Kept],
        *,
        input_shape: tuple[int, ...],
        norm: Norm,
        n_classes: int | None = None,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise ValueError(f"need images of shape (channels, height, width), got {input_shape}")
        _check_kept(kept, frame)
        channels, height, width = input_shape
        self.letters = frame.layout
        self.features = frame.features
        self.stem = Stem((channels, *frame.stem), _halvings(max(height, width), frame.stem), norm)
        sizes = [frame.stem[-1]] * 2
        reduced = False
        cells = []
        for letter in frame.layout:
            reduces = letter == "r"
            cells.append(
                Cell(
                    kept[KINDS[letter]],
                    frame,
                    norm,
                    inputs=(sizes[-2], sizes[-1]),
                    halved=reduced,
                    reduces=reduces,
                )
            )
            sizes.append(frame.nodes * frame.width)
            reduced = reduces
        self.cells = nn.ModuleList(cells)
        self.norm = norm(frame.nodes * frame.width, affine=False)
        self.pool = nn.AdaptiveAvgPool2d(frame.grid)
        self.head = nn.Linear(frame.features, n_classes) if n_classes else nn.Identity()
        for kind in sorted(KINDS.values()):
            rows = list(kept.get(kind, {}).values())
            self.register_buffer(
                gates_name(kind), torch.ones(len(rows), max(map(len, rows), default=0))
            )

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for letter, cell in zip(self.letters, self.cells, strict=True):
            before, last = last, cell(before, last, getattr(self, gates_name(KINDS[letter])))
        features = self.pool(self.norm(last)).flatten(1)
        out: Tensor = self.head(features)
        return out


def gates_name(kind: str) -> str:
    """The buffer that holds a kind's gates, of shape (edges, operations)."""
    return f"gates_{kind}"


def supernet(
    frame: Frame,
    *,
    input_shape: tuple[int, ...],
    operations: tuple[str, ...] = OPERATIONS,
    norm: Norm,
    n_classes: int | None = None,
) -> CellNetwork:
    """A network with all operations on all edges.

    Raises:
        ValueError: an unknown operation, or a number too small.
    """
    for name in operations:
        if name not in OPERATIONS:
            raise ValueError(f"operations are of {', '.join(OPERATIONS)}, got {name!r}")
    edges = dict.fromkeys(cell_edges(frame.nodes), tuple(operations))
    kept = {KINDS[letter]: edges for letter in sorted(set(frame.layout))}
    return CellNetwork(frame, kept, input_shape=input_shape, norm=norm, n_classes=n_classes)


def _halvings(side: int, stem: tuple[int, ...]) -> tuple[bool, ...]:
    """Which of the stem's convolutions halve, so that cells work on few pixels."""
    needed = max(0, math.ceil(math.log2(side / STEM_SIDE))) if side > STEM_SIDE else 0
    return tuple(place < needed for place in range(len(stem)))


def _check_kept(kept: Mapping[str, Kept], frame: Frame) -> None:
    for letter in set(frame.layout):
        heads = {
            head
            for (_, head), names in kept[KINDS[letter]].items()
            if any(name != NONE for name in names)
        }
        missing = set(range(INPUTS, INPUTS + frame.nodes)) - heads
        if missing:
            raise ValueError(
                f"every inner node of a {KINDS[letter]} cell needs an operation, "
                f"node {min(missing)} has none"
            )


def _key(edge: Edge, operation: str) -> str:
    return f"{edge[0]}_{edge[1]}_{operation}"
