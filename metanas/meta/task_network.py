"""A network with its head for one task, as a pure function of parameters.

[Proto-MAML] Triantafillou et al. Meta-Dataset. ICLR 2020: a head made of prototypes.

Why support and queries are normalised apart: a batch is normalised by itself, and a
support of five images among seventy-five queries is normalised by the queries. Apart, its
prototypes are the same whatever is asked, as they are in the network handed out; on
Omniglot with five ways and one shot that is worth two points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from metanas.meta.batch import VIEWS
from metanas.meta.prototypes import left_out, prototypes
from metanas.meta.recipe import ARCHITECTURE, HEAD, ORIGIN, SCALE, WEIGHTS, Parameters, Relaxed
from metanas.meta.relaxation import Cell, cell_of, gates, growth, places, strongest
from metanas.networks.mixed import gates_name

Derive = Callable[[dict[str, Cell]], nn.Module]
"""Makes the network of these cells alone, its weights named as the supernet's."""


@dataclass(frozen=True)
class Discrete:
    """What a supernet keeps for the tasks of a batch.

    Attributes:
        masks: by kind of cell, as `strongest` gives them; with a dimension of tasks where
            they differ. Empty where there is a network.
        network: of what is kept alone, where that is the same for all tasks.
        places: by kind of cell, the gates of that network's operations.
    """

    masks: Parameters
    network: nn.Module | None
    places: Mapping[str, tuple[list[int], list[int]]]

    @property
    def tasks(self) -> int | None:
        """The masks' dimension of tasks."""
        return 0 if any(mask.ndim > 2 for mask in self.masks.values()) else None


class TaskNetwork:
    """Features and logits of images under parameters that are given.

    Args:
        body: from images to features; its own weights play no part.
        ways: classes of a learned head; None for a head of prototypes.
        relaxed: where the network is a supernet.
        derive: of a supernet; without it what is left out is computed as well.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        ways: int | None,
        relaxed: Relaxed | None,
        derive: Derive | None = None,
    ) -> None:
        self._body = body
        self.ways = ways
        self._relaxed = relaxed
        self._derive = derive
        self._last: tuple[dict[str, Cell], nn.Module] | None = None

    def features(
        self, both: Parameters, x: Tensor, temperature: float, discrete: Discrete | None = None
    ) -> Tensor:
        """Of images (n, c, h, w), normalised together; shape (n, features).

        Args:
            both: all parameters, those that adapt and those that do not.
            discrete: as `discrete` gives it, its masks those of this task.
        """
        alone = None if discrete is None else discrete.network
        body = self._body if alone is None else alone
        given = {name: both[f"{WEIGHTS}{name}"] for name, _ in body.named_parameters()}
        if self._relaxed is not None:
            for kind in self._relaxed.kinds:
                given[gates_name(kind)] = self._gates(kind, both, temperature, discrete)
        found: Tensor = functional_call(body, given, (x,))
        return found

    def logits(
        self,
        both: Parameters,
        x: Tensor,
        reference: Tensor,
        ways: int,
        temperature: float,
        discrete: Discrete | None = None,
    ) -> Tensor:
        """Of images (n, c, h, w); shape (n, ways).

        Args:
            reference: images that prototypes are made of, class by class; plays no part
                for a learned head.
        """
        features = self.features(both, x, temperature, discrete)
        if self.ways is None:
            known = self.features(both, reference, temperature, discrete)
            weight, bias = prototypes(known, ways, both[SCALE])
        else:
            weight, bias = both[f"{HEAD}weight"], both[f"{HEAD}bias"]
        return functional.linear(features, weight, bias)

    def among_themselves(
        self,
        both: Parameters,
        support: Tensor,
        ways: int,
        temperature: float,
        discrete: Discrete | None = None,
    ) -> Tensor:
        """Logits of a support of several images a class, each judged by the others.

        Args:
            support: each image followed by its `views`, class by class, (n, c, h, w).

        Returns:
            Shape (n, ways).
        """
        features = self.features(both, support, temperature, discrete)
        return left_out(features, ways, 1 + len(VIEWS), both[SCALE])

    def discrete(self, both: Parameters) -> Discrete | None:
        """What is kept; None where there is no architecture.

        Args:
            both: all parameters, logits perhaps with a leading dimension of tasks.
        """
        relaxed = self._relaxed
        if relaxed is None:
            return None
        masks = {
            kind: strongest(
                both[f"{ARCHITECTURE}{kind}"].detach().softmax(-1),
                relaxed.operations,
                relaxed.nodes,
            )
            for kind in relaxed.kinds
        }
        first = {kind: mask.reshape(-1, *mask.shape[-2:])[0] for kind, mask in masks.items()}
        if self._derive is None or any((mask != first[kind]).any() for kind, mask in masks.items()):
            return Discrete(masks, None, {})
        cells = {
            kind: cell_of(mask, relaxed.operations, relaxed.nodes) for kind, mask in first.items()
        }
        if self._last is None or self._last[0] != cells:
            self._last = cells, self._derive(cells)
        found = {kind: places(cell, relaxed.operations) for kind, cell in cells.items()}
        return Discrete({}, self._last[1].to(next(iter(first.values())).device), found)

    def origin(self, parameters: Parameters) -> Parameters:
        """The architecture's logits before adaptation, as parameters of their own."""
        if self._relaxed is None:
            return {}
        return {
            f"{ORIGIN}{kind}": parameters[f"{ARCHITECTURE}{kind}"].detach()
            for kind in self._relaxed.kinds
        }

    def _gates(
        self, kind: str, both: Parameters, temperature: float, discrete: Discrete | None
    ) -> Tensor:
        logits = both[f"{ARCHITECTURE}{kind}"]
        if discrete is None:
            return gates(logits, temperature)
        grown = growth(logits, both[f"{ORIGIN}{kind}"], temperature)
        if discrete.network is not None:
            rows, columns = discrete.places[kind]
            return grown[rows, columns][:, None]
        return discrete.masks[kind] * grown


def with_views(support: Tensor, views: Tensor) -> Tensor:
    """Each image followed by its views.

    Args:
        support: shape (b, n, c, h, w).
        views: shape (v, b, n, c, h, w).

    Returns:
        Shape (b, n * (1 + v), c, h, w).
    """
    return torch.cat([support[None], views]).movedim(0, 2).flatten(1, 2)
