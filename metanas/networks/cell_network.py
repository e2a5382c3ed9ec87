"""The network of a cell: the same small graph of operations repeated over three stages.

[NAS-Bench-201] Dong and Yang. NAS-Bench-201: Extending the Scope of Reproducible
Neural Architecture Search. ICLR 2020.

Stem, three stages of cells with a residual block of stride 2 between them, global
average pooling, a linear layer. With width 16, 5 cells a stage and 10 classes the
parameters are exactly the benchmark's.

Differs from the benchmark: an edge that no path from the cell's input to its output
uses is built, for the benchmark counts its parameters, but never computed. Its
parameters then get no gradient, which changes nothing about the result.
Images of odd size are halved rounding up.

The module is a plain one: it pickles (a pickle needs metanas to be read, as any
pickled class needs its own module); `torch.export` and ONNX files need only their
own runtimes, see `metanas.networks.export`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from metadata_store.records import Choice
from metanas.networks.ops import OPERATIONS, Reduction

STAGES = 3
"""Stages of a network; the width doubles and the image halves from one to the next."""

Edge = tuple[int, int]


def cell_network(
    choices: Mapping[str, Choice],
    *,
    input_shape: tuple[int, ...],
    n_classes: int,
    width: int = 16,
    cells: int = 5,
) -> nn.Module:
    """A freshly initialised network from images (n, c, h, w) to logits (n, n_classes).

    Args:
        choices: the operation of every edge ``op_i_j`` from node i to node j > i;
            node 0 is the cell's input, the last its output, and each node but
            the first is the sum of the edges that enter it.
        input_shape: (channels, height, width) of one image.
        width: channels of the first stage.
        cells: cells a stage.

    Raises:
        ValueError: an edge is missing or unknown, an operation is unknown, or a
            number is too small.
    """
    if len(input_shape) != 3:
        raise ValueError(f"need images of shape (channels, height, width), got {input_shape}")
    if n_classes < 2 or width < 1 or cells < 1:
        raise ValueError(
            "need two classes, one channel and one cell at least, "
            f"got n_classes={n_classes}, width={width}, cells={cells}"
        )
    edges = operations(choices)
    body: list[nn.Module] = []
    for stage in range(STAGES):
        channels = width * 2**stage
        if stage > 0:
            body.append(Reduction(channels // 2, channels))
        body.extend(Cell(edges, channels) for _ in range(cells))
    return nn.Sequential(
        nn.Sequential(
            nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        ),
        *body,
        nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, n_classes),
        ),
    )


class Cell(nn.Module):
    """One cell: (n, channels, h, w) to the same shape.

    Args:
        edges: the operation of every edge, as `operations` gives them.
    """

    def __init__(self, edges: Mapping[Edge, str], channels: int) -> None:
        super().__init__()
        self.output = max(target for _, target in edges)
        self.live = live_edges(edges)
        self.edges = nn.ModuleDict(
            {_name(edge): OPERATIONS[operation](channels) for edge, operation in edges.items()}
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = {0: x}
        for source, target in self.live:
            out = self.edges[_name((source, target))](nodes[source])
            nodes[target] = nodes[target] + out if target in nodes else out
        return nodes[self.output] if self.live else torch.zeros_like(x)


def operations(choices: Mapping[str, Choice]) -> dict[Edge, str]:
    """The operation of every edge (i, j), by target and then by source.

    Raises:
        ValueError: the names are not exactly the edges of a complete graph of at
            least two nodes, or an operation is unknown.
    """
    n_nodes = 2
    while n_nodes * (n_nodes - 1) // 2 < len(choices):
        n_nodes += 1
    edges = [(source, target) for target in range(1, n_nodes) for source in range(target)]
    wanted = [_name(edge) for edge in edges]
    if set(wanted) != set(choices):
        raise ValueError(f"need an operation for each of {wanted}, got {sorted(choices)}")
    for name, operation in choices.items():
        if operation not in OPERATIONS:
            raise ValueError(f"{name} must be one of {list(OPERATIONS)}, got {operation!r}")
    return {edge: str(choices[_name(edge)]) for edge in edges}


def live_edges(edges: Mapping[Edge, str]) -> tuple[Edge, ...]:
    """The edges on some path from node 0 to the last node, by target and then by source."""
    some = sorted(
        (edge for edge, operation in edges.items() if operation != "none"),
        key=lambda edge: (edge[1], edge[0]),
    )
    reached = {0}
    for source, target in some:
        if source in reached:
            reached.add(target)
    needed = {max(target for _, target in edges)}
    for source, target in reversed(some):
        if target in needed:
            needed.add(source)
    return tuple(edge for edge in some if edge[0] in reached and edge[1] in needed)


def _name(edge: Edge) -> str:
    return f"op_{edge[0]}_{edge[1]}"
