"""The cell space of NAS-Bench-201: four nodes, six edges, five operations.

[NAS-Bench-201] Dong and Yang. NAS-Bench-201: Extending the Scope of Reproducible
Neural Architecture Search. ICLR 2020.

A cell is a directed acyclic graph on nodes 0..3 with an edge between every pair;
node 0 is the input, node 3 the output, and a node sums what its edges bring. All
15,625 cells are listed. The space also says how large the network around the cell
is (`width` channels in the first stage, `cells` a stage): the published scores are
of width 16 and 5 cells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Architecture, Choice, Task
from metanas.protocols import Chooser, Costs, Edge
from metanas.spaces.cell_features import descriptors
from metanas.spaces.cell_graph import (
    EDGES,
    NONE,
    OPERATIONS,
    codes_of,
    live,
    representatives,
)

if TYPE_CHECKING:
    from torch import nn

    from metanas.networks.counts import Counts

CHOICES = tuple(f"op_{tail}_{head}" for tail, head in EDGES)
"""Names of the six choices, in the order of the published architecture strings."""


@dataclass(frozen=True)
class NasBench201:
    """Implements `metanas.protocols.SearchSpace`.

    Attributes:
        width: channels of the first stage; doubled twice.
        cells: cells in each of the three stages.
    """

    name: ClassVar[str] = "nasbench201"
    width: int = 16
    cells: int = 5

    def __post_init__(self) -> None:
        if self.width < 1 or self.cells < 1:
            raise ValueError(
                f"width and cells must be at least 1, got {self.width} and {self.cells}"
            )

    @property
    def domain(self) -> Mapping[str, tuple[Choice, ...] | None]:
        """The same five operations on each of the six edges."""
        return dict.fromkeys(CHOICES, OPERATIONS)

    def suggest(self, chooser: Chooser) -> Architecture:
        return Architecture(
            self.name,
            {choice: chooser.suggest_categorical(choice, OPERATIONS) for choice in CHOICES},
        )

    def validate(self, architecture: Architecture) -> None:
        if architecture.space != self.name:
            raise ValueError(
                f"need an architecture of {self.name!r}, got one of {architecture.space!r}"
            )
        if set(architecture.choices) != set(CHOICES):
            raise ValueError(
                f"{self.name} needs the choices {', '.join(CHOICES)}, "
                f"got {', '.join(architecture.choices) or 'none'}"
            )
        for choice, operation in architecture.choices.items():
            if operation not in OPERATIONS:
                raise ValueError(
                    f"{choice} must be one of {', '.join(OPERATIONS)}, got {operation!r}"
                )

    def canonical(self, architecture: Architecture) -> Architecture:
        """The first listed cell that computes the same.

        Edges without operation, and those that no signal passes or that do not
        reach the output, do not count; a skip connection stands for the node it
        copies; addition is commutative, which covers swapping the inner nodes. The
        15,625 cells have 5,260 forms; see `metanas.spaces.cell_graph`.
        """
        return cell(int(representatives()[self._index([architecture])[0]]))

    def encode(self, architecture: Architecture) -> NDArray[np.float32]:
        """One-hot operations, shape (6, 5)."""
        encoded: NDArray[np.float32] = self.encode_all([architecture])[0]
        return encoded

    def encode_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        codes = codes_of(self._index(architectures))
        return np.eye(len(OPERATIONS), dtype=np.float32)[codes]

    def describe_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """What the cell's paths from input to output do; see `metanas.spaces.cell_features`."""
        described: NDArray[np.float32] = descriptors()[self._index(architectures)]
        return described

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        self.validate(architecture)
        choice = CHOICES[int(rng.integers(len(CHOICES)))]
        others = [other for other in OPERATIONS if other != architecture.choices[choice]]
        operation = others[int(rng.integers(len(others)))]
        return Architecture(self.name, {**architecture.choices, choice: operation})

    def enumerate(self) -> Sequence[Architecture]:
        return list(_cells())

    def parse(self, text: str) -> Architecture:
        """Reads ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|…|``, or JSON as in a trial table.

        White space plays no part.
        """
        if text.lstrip().startswith("{"):
            try:
                architecture = Architecture.from_json(self.name, text)
            except json.JSONDecodeError as error:
                raise ValueError(f"no JSON object of choices: {text[:80]!r} ({error})") from error
        else:
            # A terminal may have broken it into lines.
            architecture = Architecture(self.name, _parsed("".join(text.split())))
        self.validate(architecture)
        return architecture

    def format(self, architecture: Architecture) -> str:
        """The benchmark's own string for a cell."""
        self.validate(architecture)
        nodes: dict[int, str] = {}
        for choice, (tail, head) in zip(CHOICES, EDGES, strict=True):
            nodes[head] = nodes.get(head, "|") + f"{architecture.choices[choice]}~{tail}|"
        return "+".join(nodes[head] for head in sorted(nodes))

    def edges(self, architecture: Architecture) -> Sequence[Edge]:
        codes = codes_of(self._index([architecture]))
        alive = live(codes)[0]
        return [
            Edge(tail, head, OPERATIONS[code], bool(passes))
            for (tail, head), code, passes in zip(EDGES, codes[0], alive, strict=True)
        ]

    def costs(self, architectures: Sequence[Architecture], task: Task) -> Costs:
        """Sums over the edges, for what one adds does not depend on the others.

        Parameters of dead edges count, as in the benchmark; nothing is computed there.
        """
        codes = codes_of(self._index(architectures))
        alive = live(codes)
        empty, single = self._price(None, task), [self._price(op, task) for op in OPERATIONS]
        params = np.array([price.params - empty.params for price in single], np.int64)
        flops = np.array([price.flops - empty.flops for price in single], np.int64)
        return Costs(
            params=empty.params + params[codes].sum(axis=1),
            flops=empty.flops + np.where(alive, flops[codes], 0).sum(axis=1),
        )

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        self.validate(architecture)
        if len(task.input_shape) != 3 or task.n_classes is None:
            raise ValueError(
                f"need a task of labelled images, channels x height x width, got {task.name!r} "
                f"with inputs {task.input_shape} and classes {task.n_classes}"
            )
        from metanas.networks.cell_network import cell_network

        return cell_network(
            {choice: str(operation) for choice, operation in architecture.choices.items()},
            input_shape=task.input_shape,
            n_classes=task.n_classes,
            width=self.width,
            cells=self.cells,
        )

    def _price(self, operation: str | None, task: Task) -> Counts:
        """What a cell costs that has this operation between input and output, and no other."""
        from metanas.networks.counts import count

        choices: dict[str, Choice] = dict.fromkeys(CHOICES, OPERATIONS[NONE])
        if operation is not None:
            choices[CHOICES[EDGES.index((0, 3))]] = operation
        return count(self.build(Architecture(self.name, choices), task), task.input_shape)

    def _index(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Positions in `enumerate`, shape (n,)."""
        known = _positions()
        index = np.empty(len(architectures), np.int64)
        for row, architecture in enumerate(architectures):
            position = known.get(architecture.key)
            if position is None:
                self.validate(architecture)
                raise ValueError(f"no cell of {self.name}: {architecture.json}")
            index[row] = position
        return index


def cell(index: int) -> Architecture:
    """The cell at this position of the list."""
    return _cells()[index]


@lru_cache(maxsize=1)
def _cells() -> tuple[Architecture, ...]:
    codes = codes_of(np.arange(len(OPERATIONS) ** len(EDGES)))
    return tuple(
        Architecture(
            NasBench201.name,
            {choice: OPERATIONS[code] for choice, code in zip(CHOICES, row, strict=True)},
        )
        for row in codes.tolist()
    )


@lru_cache(maxsize=1)
def _positions() -> Mapping[str, int]:
    return {architecture.key: index for index, architecture in enumerate(_cells())}


def _parsed(text: str) -> dict[str, Choice]:
    nodes = text.strip().split("+")
    if len(nodes) != 3:
        raise ValueError(
            f"an architecture string has three nodes joined by '+', as in "
            f"'|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|', got {text[:120]!r}"
        )
    choices: dict[str, Choice] = {}
    for head, node in enumerate(nodes, start=1):
        edges = node.strip().strip("|").split("|")
        for edge in edges:
            operation, separator, tail = edge.partition("~")
            if not separator or not tail.isdigit() or int(tail) >= head:
                raise ValueError(
                    f"node {head} takes 'operation~node' of nodes below it, got {edge!r}"
                )
            choices[f"op_{tail}_{head}"] = operation
        if len(edges) != head:
            raise ValueError(f"node {head} has {head} edges, got {len(edges)} in {node!r}")
    return choices
