"""Cells of DARTS as graphs: renaming their nodes, and numbers that say what they do."""

from __future__ import annotations

import re
from itertools import permutations

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""What a derived edge may carry; the paper's eighth, none, is left out there."""

KINDS = ("normal", "reduction")
INPUTS = 2
DEPTH = {
    "max_pool_3x3": 0,
    "avg_pool_3x3": 0,
    "skip_connect": 0,
    "sep_conv_3x3": 2,
    "sep_conv_5x5": 2,
    "dil_conv_3x3": 1,
    "dil_conv_5x5": 1,
}
"""Convolutions in a row that an operation is."""

CELL = re.compile(r"(?P<kind>[a-z]+)\[(?P<nodes>[^\[\]]+)\]")
TERM = re.compile(r"(?P<operation>\w+)~(?P<tail>\d+)")

Term = tuple[int, str]
"""An input of a node, and the operation on it."""
Cell = tuple[tuple[Term, Term], ...]
"""The two terms of each inner node."""


def canonical(cell: Cell) -> Cell:
    """The least of all cells that renaming the inner nodes gives."""
    best: Cell | None = None
    for order in permutations(range(len(cell))):
        place = {old + INPUTS: new + INPUTS for new, old in enumerate(order)}
        renamed = []
        for old in order:
            one, two = sorted((place.get(tail, tail), op) for tail, op in cell[old])
            renamed.append((one, two))
        runs_forward = all(
            tail < head for head, node in enumerate(renamed, start=INPUTS) for tail, _ in node
        )
        if runs_forward and (best is None or tuple(renamed) < best):
            best = tuple(renamed)
    if best is None:
        raise ValueError(f"each node takes nodes before it, got {cell}")
    return best


def describe(cell: Cell) -> list[float]:
    """Counts of operations in all, on the inputs and on inner nodes, and of paths.

    Renaming inner nodes does not change them.
    """
    terms = [term for node in cell for term in node]
    numbers: list[float] = []
    for chosen in (
        terms,
        [term for term in terms if term[0] == 0],
        [term for term in terms if term[0] == 1],
    ):
        numbers += [sum(op == name for _, op in chosen) for name in OPERATIONS]
    steps, depth, plain = [0, 0], [0, 0], [True, True]
    for one, two in cell:
        steps.append(1 + max(steps[one[0]], steps[two[0]]))
        depth.append(max(depth[tail] + DEPTH[op] for tail, op in (one, two)))
        plain.append(any(plain[tail] and op == "skip_connect" for tail, op in (one, two)))
    numbers += [
        float(max(steps)),
        float(sum(steps)) / len(cell),
        float(max(depth)),
        float(sum(depth)) / len(cell),
        float(sum(plain[INPUTS:])) / len(cell),
        float(len({tail for tail, _ in terms})),
    ]
    return numbers


def parse(text: str, nodes: int) -> dict[str, Cell]:
    """The cells that a space's `format` wrote.

    Raises:
        ValueError: it is no such text.
    """
    example = "normal[sep_conv_3x3~0+skip_connect~1 …]reduction[…]"
    cells: dict[str, Cell] = {}
    for match in CELL.finditer(text):
        found = []
        for node in match["nodes"].split():
            terms = [TERM.fullmatch(term) for term in node.split("+")]
            pairs = [(int(term["tail"]), term["operation"]) for term in terms if term]
            if len(pairs) != 2 or len(terms) != 2:
                raise ValueError(f"a node is two of operation~input joined by '+', got {node!r}")
            found.append((pairs[0], pairs[1]))
        cells[match["kind"]] = tuple(found)
    if CELL.sub("", text.strip()) or set(cells) != set(KINDS):
        raise ValueError(f"an architecture is {example}, got {text[:120]!r}")
    if any(len(cell) != nodes for cell in cells.values()):
        raise ValueError(f"each cell needs {nodes} nodes, got {text[:120]!r}")
    return cells
