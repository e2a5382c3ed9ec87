"""Cells of four nodes as graphs: what is alive, what is the same, what paths there are.

Everything is computed once for all 15,625 cells and looked up by position.

Why a canonical form of its own: NAS-Bench-201 reports 6,466 different cells, but its
count keeps dead edges apart and does not flatten nested sums (without both it would
be 4,930). On the other hand it treats two convolutions of the same kind on the same
input as one, though each has its own weights. The form used here drops what is dead,
flattens sums and tells convolutions apart, up to renaming them: 5,260 cells. Two
cells of the same form compute the same function for suitably exchanged weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NONE, SKIP, CONV_1, CONV_3, POOL = range(len(OPERATIONS))
N_CELLS = len(OPERATIONS) ** len(EDGES)

Edge = tuple[int, int]
Sum = tuple[str, ...]
"""A node's value: its terms, sorted. The input is the one term "x"."""


def codes_of(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Operation on each edge of the cells at these positions, shape (n, 6)."""
    powers = len(OPERATIONS) ** np.arange(len(EDGES) - 1, -1, -1)
    codes: NDArray[np.int64] = index[:, None] // powers % len(OPERATIONS)
    return codes


def expression(codes: Sequence[int]) -> Sum:
    """What the output node computes, equal for equal cells; empty where nothing arrives."""
    _, terms = _evaluate(codes, {})
    alike: dict[str, list[Edge]] = {}
    for edge, term in terms.items():
        if codes[EDGES.index(edge)] in (CONV_1, CONV_3):
            alike.setdefault(term, []).append(edge)
    groups = list(alike.values())
    return min(
        _evaluate(
            codes,
            {
                edge: str(label)
                for edges, order in zip(groups, orders, strict=True)
                for edge, label in zip(edges, order, strict=True)
            },
        )[0]
        for orders in product(*(permutations(range(len(edges))) for edges in groups))
    )


@lru_cache(maxsize=1)
def representatives() -> NDArray[np.int64]:
    """For every cell the first listed one that computes the same, shape (15625,)."""
    first: dict[Sum, int] = {}
    codes = codes_of(np.arange(N_CELLS)).tolist()
    return np.array([first.setdefault(expression(row), i) for i, row in enumerate(codes)], np.int64)


def _evaluate(codes: Sequence[int], labels: Mapping[Edge, str]) -> tuple[Sum, dict[Edge, str]]:
    """The output's terms, and the term of each edge that carries an operation."""
    nodes: list[Sum] = [("x",)]
    terms: dict[Edge, str] = {}
    operation = dict(zip(EDGES, codes, strict=True))
    for head in range(1, 4):
        arriving: list[str] = []
        for tail in range(head):
            edge = tail, head
            if operation[edge] == NONE or not nodes[tail]:
                continue
            if operation[edge] == SKIP:
                arriving.extend(nodes[tail])
            else:
                name = f"{operation[edge]}{labels.get(edge, '')}"
                terms[edge] = f"{name}({'+'.join(nodes[tail])})"
                arriving.append(terms[edge])
        nodes.append(tuple(sorted(arriving)))
    return nodes[-1], terms


PATHS: tuple[tuple[int, ...], ...] = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""Edges, by position in `EDGES`, of each path from input to output."""


def live(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which edges lie on a path from input to output that no edge cuts; shape (n, 6)."""
    alive = np.zeros(codes.shape, dtype=bool)
    for path in PATHS:
        passes = (codes[:, path] != NONE).all(axis=1)
        alive[np.ix_(passes, path)] = True
    return alive
