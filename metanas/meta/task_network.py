"""A network with its head for one task, as a pure function of parameters.

[Proto-MAML] Triantafillou et al. Meta-Dataset. ICLR 2020: a head made of prototypes.

Why support and queries are normalised apart: a batch is normalised by itself, and a
support of five images among seventy-five queries is normalised by the queries. Apart, its
prototypes are the same whatever is asked, as they are in the network handed out; on
Omniglot with five ways and one shot that is worth two points.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from metanas.meta.prototypes import prototypes
from metanas.meta.recipe import ARCHITECTURE, HEAD, ORIGIN, SCALE, WEIGHTS, Parameters, Relaxed
from metanas.meta.relaxation import gates, growth, strongest
from metanas.networks.mixed import gates_name


class TaskNetwork:
    """Features and logits of images under parameters that are given.

    Args:
        body: from images to features; its own weights play no part.
        ways: classes of a learned head; None for a head of prototypes.
        relaxed: where the network is a supernet.
    """

    def __init__(self, body: nn.Module, *, ways: int | None, relaxed: Relaxed | None) -> None:
        self._body = body
        self.ways = ways
        self._relaxed = relaxed

    def features(
        self, both: Parameters, x: Tensor, temperature: float, masks: Parameters | None = None
    ) -> Tensor:
        """Of images (n, c, h, w), normalised together; shape (n, features).

        Args:
            both: all parameters, those that adapt and those that do not.
            masks: as `masks` gives them, for a discrete network.
        """
        given = {
            name.removeprefix(WEIGHTS): p for name, p in both.items() if name.startswith(WEIGHTS)
        }
        if self._relaxed is not None:
            for kind in self._relaxed.kinds:
                logits = both[f"{ARCHITECTURE}{kind}"]
                gate = gates(logits, temperature)
                if masks:
                    mask = masks[kind]
                    grown = growth(logits, both[f"{ORIGIN}{kind}"], temperature)
                    # Straight through: what is left out has no value, but a derivative.
                    gate = mask * grown + (1 - mask) * (gate - gate.detach())
                given[gates_name(kind)] = gate
        found: Tensor = functional_call(self._body, given, (x,))
        return found

    def logits(
        self,
        both: Parameters,
        x: Tensor,
        reference: Tensor,
        ways: int,
        temperature: float,
        masks: Parameters | None = None,
    ) -> Tensor:
        """Of images (n, c, h, w); shape (n, ways).

        Args:
            reference: images that prototypes are made of, class by class; plays no part
                for a learned head.
        """
        features = self.features(both, x, temperature, masks)
        if self.ways is None:
            known = self.features(both, reference, temperature, masks)
            weight, bias = prototypes(known, ways, both[SCALE])
        else:
            weight, bias = both[f"{HEAD}weight"], both[f"{HEAD}bias"]
        return functional.linear(features, weight, bias)

    def masks(self, both: Parameters) -> tuple[Parameters, int | None]:
        """What a discrete network keeps, by kind of cell, and their dimension of tasks."""
        if self._relaxed is None:
            return {}, None
        masks = {
            kind: strongest(
                both[f"{ARCHITECTURE}{kind}"].detach().softmax(-1),
                self._relaxed.operations,
                self._relaxed.nodes,
            )
            for kind in self._relaxed.kinds
        }
        return masks, 0 if next(iter(masks.values())).ndim > 2 else None

    def origin(self, parameters: Parameters) -> Parameters:
        """The architecture's logits before adaptation, as parameters of their own."""
        if self._relaxed is None:
            return {}
        return {
            f"{ORIGIN}{kind}": parameters[f"{ARCHITECTURE}{kind}"].detach()
            for kind in self._relaxed.kinds
        }


def with_views(support: Tensor, views: Tensor) -> Tensor:
    """Each image followed by its views.

    Args:
        support: shape (b, n, c, h, w).
        views: shape (v, b, n, c, h, w).

    Returns:
        Shape (b, n * (1 + v), c, h, w).
    """
    return torch.cat([support[None], views]).movedim(0, 2).flatten(1, 2)
