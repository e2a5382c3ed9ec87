"""A space of which only some architectures can be measured, such as those of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from metadata_store.records import Architecture, Choice, Task
from metanas.protocols import Chooser, Costs, Edge, SearchSpace

if TYPE_CHECKING:
    from torch import nn

TRIES = 20
NEAR = 10
"""Listed architectures that count as neighbours of one without listed neighbours."""


@dataclass(frozen=True)
class Listed:
    """Implements `metanas.protocols.SearchSpace`.

    What a chooser picks becomes the listed architecture nearest to it. Architectures of
    the whole space can be described and encoded: other tasks may have measured them.

    Attributes:
        whole: the space.
        architectures: those listed, each once.
    """

    whole: SearchSpace
    architectures: tuple[Architecture, ...]

    def __post_init__(self) -> None:
        if not self.architectures:
            raise ValueError("need an architecture at least, got none")

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def domain(self) -> Mapping[str, tuple[Choice, ...] | None]:
        return self.whole.domain

    def suggest(self, chooser: Chooser) -> Architecture:
        return self.nearest(self.whole.suggest(chooser))

    def nearest(self, architecture: Architecture) -> Architecture:
        """The listed one that is encoded most alike; itself where it is listed."""
        if architecture in self._known:
            return architecture
        return self.architectures[self._rows_near(architecture, 1)[0]]

    def validate(self, architecture: Architecture) -> None:
        self.whole.validate(architecture)

    def canonical(self, architecture: Architecture) -> Architecture:
        return self.whole.canonical(architecture)

    def encode(self, architecture: Architecture) -> NDArray[np.float32]:
        return self.whole.encode(architecture)

    def encode_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        return self.whole.encode_all(architectures)

    def describe_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        return self.whole.describe_all(architectures)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A listed neighbour, else one of the nearest that are listed."""
        for _ in range(TRIES):
            neighbour = self.whole.mutate(architecture, rng)
            if neighbour in self._known:
                return neighbour
        near = [self.architectures[row] for row in self._rows_near(architecture, NEAR + 1)]
        others = [each for each in near if each != architecture]
        return others[int(rng.integers(len(others)))] if others else architecture

    def enumerate(self) -> Sequence[Architecture]:
        return self.architectures

    def parse(self, text: str) -> Architecture:
        return self.whole.parse(text)

    def format(self, architecture: Architecture) -> str:
        return self.whole.format(architecture)

    def edges(self, architecture: Architecture) -> Sequence[Edge] | None:
        return self.whole.edges(architecture)

    def costs(self, architectures: Sequence[Architecture], task: Task) -> Costs | None:
        return self.whole.costs(architectures, task)

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        return self.whole.build(architecture, task)

    @cached_property
    def _known(self) -> frozenset[Architecture]:
        return frozenset(self.architectures)

    @cached_property
    def _tree(self) -> cKDTree:
        # A search asks some thousand times for each suggestion.
        encoded = self.whole.encode_all(self.architectures)
        return cKDTree(encoded.reshape(len(encoded), -1))

    def _rows_near(self, architecture: Architecture, count: int) -> list[int]:
        """Of those encoded most alike, the nearest first; fewer where fewer are listed."""
        code = self.whole.encode(architecture).reshape(-1)
        count = min(count, len(self.architectures))
        _, rows = self._tree.query(code, k=range(1, count + 1), p=1)
        return [int(row) for row in rows]


def restricted(whole: SearchSpace, measured: Sequence[Architecture]) -> SearchSpace:
    """The space whose architectures have all been measured; the whole one where all have been."""
    every = whole.enumerate()
    keys = {whole.canonical(each) for each in measured}
    if every is not None and all(whole.canonical(each) in keys for each in every):
        return whole
    return Listed(whole, tuple(dict.fromkeys(measured)))
