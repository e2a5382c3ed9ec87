"""The cell space of DARTS: a normal and a reduction cell, two edges into each inner node.

[DARTS] Liu, Simonyan and Yang. DARTS: Differentiable Architecture Search. ICLR 2019.
[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.

A cell takes the outputs of the two cells before it (nodes 0 and 1); each inner node
sums two operations on two different nodes before it; the output is all inner nodes side
by side. The paper's eighth operation, none, takes part only in supernets: what is derived
from one never has it. With four inner nodes there are about 10^18 architectures, too
many to list. Spaces of other numbers of nodes have names of their own: their choices
differ. See `metanas.networks.mixed` for the network around the cells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Architecture, Choice, Task
from metanas.protocols import Chooser, Costs, Edge
from metanas.spaces.darts_cell import INPUTS, KINDS, OPERATIONS, Cell, canonical, describe, parse

if TYPE_CHECKING:
    from torch import nn

    from metanas.networks.mixed import CellNetwork, Frame


@dataclass(frozen=True)
class Darts:
    """Implements `metanas.protocols.SearchSpace`.

    Attributes:
        width: channels in a cell.
        nodes: inner nodes of a cell.
        layout: a letter a cell, n for normal, r for reduction.
        stem: channels of each of the convolutions before the cells.
        grid: the last features are pooled to grid x grid places.
        stem_depth: how many convolutions stand before the cells.
    """

    width: int = 16
    nodes: int = 4
    layout: str = "nr"
    stem: int = 24
    grid: int = 1
    stem_depth: int = 2

    def __post_init__(self) -> None:
        if min(self.width, self.nodes, self.stem, self.grid, self.stem_depth) < 1:
            raise ValueError(
                "width, nodes, stem, grid and stem_depth must be at least 1, "
                f"got {self.width}, {self.nodes}, {self.stem}, {self.grid} and {self.stem_depth}"
            )
        if not self.layout or set(self.layout) - set("nr"):
            raise ValueError(
                f"a layout is a letter a cell, n for normal or r for reduction, got {self.layout!r}"
            )

    @property
    def name(self) -> str:
        """``darts``, with the number of inner nodes where they are not four."""
        return "darts" if self.nodes == 4 else f"darts-{self.nodes}"

    @property
    def domain(self) -> Mapping[str, tuple[Choice, ...] | None]:
        """Both operations of each inner node, and the pair of nodes they act on.

        The first inner node has but one pair, which is no choice.
        """
        domain: dict[str, tuple[Choice, ...] | None] = {}
        for kind in KINDS:
            for head in range(INPUTS, INPUTS + self.nodes):
                if head > INPUTS:
                    domain[f"{kind}_from_{head}"] = _pairs(head)
                domain[f"{kind}_op_{head}_a"] = OPERATIONS
                domain[f"{kind}_op_{head}_b"] = OPERATIONS
        return domain

    def suggest(self, chooser: Chooser) -> Architecture:
        return Architecture(
            self.name,
            {name: chooser.suggest_categorical(name, v) for name, v in self.domain.items() if v},
        )

    def validate(self, architecture: Architecture) -> None:
        if architecture.space != self.name:
            raise ValueError(
                f"need an architecture of {self.name!r}, got one of {architecture.space!r}"
            )
        domain = self.domain
        if set(architecture.choices) != set(domain):
            odd = sorted(set(architecture.choices) ^ set(domain))
            raise ValueError(
                f"{self.name} needs the {len(domain)} choices of {self.nodes} nodes a cell, "
                f"got {len(architecture.choices)}; missing or unknown is {odd[0]!r}"
            )
        for name, choice in architecture.choices.items():
            allowed = domain[name] or ()
            if choice not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(str, allowed))}, got {choice!r}"
                )

    def cells(self, architecture: Architecture) -> dict[str, Cell]:
        """By kind, each inner node's two (input, operation) pairs.

        Raises:
            ValueError: no architecture of this space.
        """
        self.validate(architecture)
        choices = architecture.choices
        found: dict[str, Cell] = {}
        for kind in KINDS:
            nodes = []
            for head in range(INPUTS, INPUTS + self.nodes):
                pair = str(choices.get(f"{kind}_from_{head}", _pairs(INPUTS)[0]))
                one, two = map(int, pair.split("+"))
                nodes.append(
                    (
                        (one, str(choices[f"{kind}_op_{head}_a"])),
                        (two, str(choices[f"{kind}_op_{head}_b"])),
                    )
                )
            found[kind] = tuple(nodes)
        return found

    def of_cells(self, cells: Mapping[str, Cell]) -> Architecture:
        """The architecture that `cells` takes apart into these.

        Raises:
            ValueError: they are no cells of this space.
        """
        choices: dict[str, Choice] = {}
        for kind, nodes in cells.items():
            for head, terms in enumerate(nodes, start=INPUTS):
                (one, a), (two, b) = sorted(terms)
                if head > INPUTS:
                    choices[f"{kind}_from_{head}"] = f"{one}+{two}"
                elif (one, two) != (0, 1):
                    raise ValueError(f"node {head} takes nodes 0 and 1, got {one} and {two}")
                choices[f"{kind}_op_{head}_a"], choices[f"{kind}_op_{head}_b"] = a, b
        architecture = Architecture(self.name, choices)
        self.validate(architecture)
        return architecture

    def canonical(self, architecture: Architecture) -> Architecture:
        """The first, in the order of text, of what renaming inner nodes gives.

        The order of the nodes side by side is undone by the weights that follow.
        """
        cells = self.cells(architecture)
        return self.of_cells({kind: canonical(cell) for kind, cell in cells.items()})

    def encode(self, architecture: Architecture) -> NDArray[np.float32]:
        """One row an edge: one-hot operation, then one-hot input."""
        encoded: NDArray[np.float32] = self.encode_all([architecture])[0]
        return encoded

    def encode_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        rows = 2 * self.nodes * len(KINDS)
        tails = INPUTS + self.nodes - 1
        encoded = np.zeros((len(architectures), rows, len(OPERATIONS) + tails), np.float32)
        for which, architecture in enumerate(architectures):
            cells = self.cells(architecture)
            terms = [term for kind in KINDS for node in cells[kind] for term in node]
            for row, (tail, operation) in enumerate(terms):
                encoded[which, row, OPERATIONS.index(operation)] = 1.0
                encoded[which, row, len(OPERATIONS) + tail] = 1.0
        return encoded

    def describe_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Counts of operations, by kind of cell and by input, and lengths of paths."""
        rows = []
        for architecture in architectures:
            cells = self.cells(self.canonical(architecture))
            rows.append([number for kind in KINDS for number in describe(cells[kind])])
        width = len(KINDS) * len(describe(((((0, OPERATIONS[0]), (1, OPERATIONS[0]))),)))
        return np.array(rows, np.float32).reshape(len(rows), width)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        self.validate(architecture)
        domain = self.domain
        name = list(domain)[int(rng.integers(len(domain)))]
        others = [value for value in domain[name] or () if value != architecture.choices[name]]
        chosen = others[int(rng.integers(len(others)))]
        return Architecture(self.name, {**architecture.choices, name: chosen})

    def enumerate(self) -> Sequence[Architecture] | None:
        """None: there are too many."""
        return None

    def parse(self, text: str) -> Architecture:
        """Reads ``normal[skip_connect~0+sep_conv_3x3~1 …]reduction[…]``, or JSON."""
        if text.lstrip().startswith("{"):
            try:
                architecture = Architecture.from_json(self.name, text)
            except json.JSONDecodeError as error:
                raise ValueError(f"no JSON object of choices: {text[:80]!r} ({error})") from error
            self.validate(architecture)
            return architecture
        return self.of_cells(parse(text, self.nodes))

    def format(self, architecture: Architecture) -> str:
        cells = self.cells(architecture)
        return "".join(
            f"{kind}[{' '.join('+'.join(f'{op}~{tail}' for tail, op in node) for node in cell)}]"
            for kind, cell in cells.items()
        )

    def edges(self, architecture: Architecture) -> Sequence[Edge]:
        """A normal cell and the reduction cell after it; node 0 is both inputs of the first."""
        edges: list[Edge] = []
        cells = self.cells(architecture)
        before, last = 0, 0
        for kind in KINDS:
            first = last + 1
            places = [before, last, *range(first, first + self.nodes)]
            out = first + self.nodes
            for head, node in enumerate(cells[kind], start=INPUTS):
                edges += [Edge(places[tail], places[head], op, True) for tail, op in node]
            edges += [Edge(place, out, "concatenate", True) for place in places[INPUTS:]]
            before, last = last, out
        return edges

    def costs(self, architectures: Sequence[Architecture], task: Task) -> Costs:
        """Sums over the edges, for what one adds does not depend on the others."""
        cells = [self.cells(architecture) for architecture in architectures]
        told = task.input_shape, task.n_classes or 2
        empty = _price(self, None, *told)
        prices = {
            key: tuple(np.subtract(_price(self, key, *told), empty))
            for key in sorted({key for each in cells for key in _priced(each)})
        }
        totals = np.array(
            [np.add(empty, np.sum([prices[k] for k in _priced(each)], axis=0)) for each in cells],
            np.int64,
        ).reshape(-1, 2)
        return Costs(params=totals[:, 0], flops=totals[:, 1])

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        cells = self.cells(architecture)
        if len(task.input_shape) != 3 or task.n_classes is None:
            raise ValueError(
                f"need a task of labelled images, channels x height x width, got {task.name!r} "
                f"with inputs {task.input_shape} and classes {task.n_classes}"
            )
        return self.network(cells, task.input_shape, task.n_classes)

    @property
    def frame(self) -> Frame:
        """What stands around the operations."""
        from metanas.networks.mixed import Frame

        stem = (self.stem,) * self.stem_depth
        return Frame(self.width, self.nodes, self.layout, stem, self.grid)

    def network(
        self, cells: Mapping[str, Cell], input_shape: tuple[int, ...], n_classes: int
    ) -> CellNetwork:
        """The network of these cells."""
        from metanas.networks.darts_ops import Norm
        from metanas.networks.mixed import CellNetwork

        return CellNetwork(
            self.frame, kept(cells), input_shape=input_shape, norm=Norm(), n_classes=n_classes
        )


@lru_cache(maxsize=4096)
def _price(
    space: Darts, key: tuple[str, bool, str] | None, shape: tuple[int, ...], n_classes: int
) -> tuple[int, int]:
    """Parameters and multiply-adds of skip connections everywhere but on one edge.

    Args:
        key: that edge's kind of cell, whether it leaves an input, its operation.
    """
    from metanas.networks.counts import count

    nodes = tuple(
        ((0, "skip_connect"), (head - 1, "skip_connect")) for head in range(2, 2 + space.nodes)
    )
    cells: dict[str, Cell] = dict.fromkeys(KINDS, nodes)
    if key is not None:
        kind, from_input, operation = key
        changed = [list(node) for node in nodes]
        at, term = (0, 0) if from_input else (1, 1)
        changed[at][term] = (changed[at][term][0], operation)
        cells[kind] = tuple((node[0], node[1]) for node in changed)
    counts = count(space.network(cells, shape, n_classes), shape)
    return counts.params, counts.flops


def kept(cells: Mapping[str, Cell]) -> dict[str, dict[tuple[int, int], tuple[str, ...]]]:
    """The operations on each edge, as networks take them."""
    return {
        kind: {
            (tail, head): (operation,)
            for head, node in enumerate(cell, start=INPUTS)
            for tail, operation in node
        }
        for kind, cell in cells.items()
    }


def _pairs(head: int) -> tuple[str, ...]:
    return tuple(f"{one}+{two}" for one, two in combinations(range(head), 2))


def _priced(cells: Mapping[str, Cell]) -> list[tuple[str, bool, str]]:
    return [
        (kind, tail < INPUTS, operation)
        for kind, cell in cells.items()
        for node in cell
        for tail, operation in node
    ]
