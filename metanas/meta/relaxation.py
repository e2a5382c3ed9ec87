"""Architecture as numbers: logits of operations, their gates, and what is kept of them.

[DARTS] Liu, Simonyan and Yang. DARTS: Differentiable Architecture Search. ICLR 2019.
[MetaNAS] Elsken et al. Meta-Learning of Neural Architectures for Few-Shot Learning.
CVPR 2020: gates sharpen during meta-training, so that dropping all but the largest
changes little and the weights stay good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metanas.networks.darts_ops import NONE
from metanas.networks.mixed import INPUTS, cell_edges

KEPT = 2
"""Edges kept into each inner node."""

Cell = tuple[tuple[tuple[int, str], tuple[int, str]], ...]
"""As `metanas.spaces.darts_cell.Cell`."""


def gates(logits: Tensor, temperature: float) -> Tensor:
    """Weights of operations on each edge, summing to 1; shape (..., edges, operations)."""
    return torch.softmax(logits / temperature, dim=-1)


def growth(logits: Tensor, origin: Tensor, temperature: float) -> Tensor:
    """By how much gates have grown since their logits were `origin`: 1 where nothing moved.

    What a discrete network weighs its operations with: were they all weighed the same,
    moving logits would change nothing until another operation became the strongest, one
    whose weights were not meta-learned beside the others.
    """
    # Of logarithms: gates of cold softmaxes may both be 0.
    now, before = (torch.log_softmax(each / temperature, dim=-1) for each in (logits, origin))
    return (now - before).exp()


def strongest(gate: Tensor, operations: Sequence[str], nodes: int) -> Tensor:
    """Which gates a discrete cell keeps: into each node two edges, on each one operation.

    The edges are those whose best operation, none left out, weighs most.

    Args:
        gate: shape (..., edges, operations), the edges those of `cell_edges`.

    Returns:
        1 where kept, else 0; the same shape.
    """
    allowed = torch.tensor([name != NONE for name in operations], device=gate.device)
    weight = torch.where(allowed, gate, -1.0)
    best, which = weight.max(dim=-1)  # (..., edges)
    one_hot = torch.nn.functional.one_hot(which, len(operations)).to(gate.dtype)
    kept = torch.zeros_like(best)
    for rows in _rows_by_head(nodes):
        top = best[..., rows].topk(KEPT, dim=-1).indices
        inside = torch.zeros_like(best[..., rows]).scatter(-1, top, 1.0)
        kept[..., rows] = inside
    return one_hot * kept[..., None]


def cell_of(kept: Tensor, operations: Sequence[str], nodes: int) -> Cell:
    """The cell that a mask as `strongest` gives it describes; shape (edges, operations)."""
    edges = cell_edges(nodes)
    cell = []
    for rows in _rows_by_head(nodes):
        terms = [
            (edges[row][0], operations[int(kept[row].argmax())]) for row in rows if kept[row].any()
        ]
        cell.append((terms[0], terms[1]))
    return tuple(cell)


def places(cell: Cell, operations: Sequence[str]) -> tuple[list[int], list[int]]:
    """Where the gates of a cell's operations stand: edges and operations, in a network's order."""
    row = {edge: i for i, edge in enumerate(cell_edges(len(cell)))}
    terms = [(tail, head, name) for head, node in enumerate(cell, INPUTS) for tail, name in node]
    return (
        [row[tail, head] for tail, head, _ in terms],
        [operations.index(name) for _, _, name in terms],
    )


def sharpening(progress: float, *, last: float, until: float) -> float:
    """The temperature at a share of meta-training done: from 1 down to `last` at `until`."""
    return float(last ** min(1.0, progress / until)) if until > 0 else last


def normalised(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each divided by its length: through a softmax they are a thousandth of the weights'."""
    return {
        name: gradient * torch.rsqrt(gradient.square().sum() + 1e-12)
        for name, gradient in gradients.items()
    }


def _rows_by_head(nodes: int) -> list[list[int]]:
    edges = cell_edges(nodes)
    return [
        [row for row, (_, head) in enumerate(edges) if head == wanted]
        for wanted in sorted({head for _, head in edges})
    ]
