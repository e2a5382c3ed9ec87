"""What meta-training makes: an architecture and weights that adapt together, ready to be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metadata_store.records import Architecture
from metanas.meta.auto_maml import ADAPTING, auto_maml
from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import ARCHITECTURE, WEIGHTS, Parameters, Relaxed
from metanas.meta.relaxation import Cell, cell_of, gates, strongest
from metanas.meta.supernet import Super
from metanas.meta.tnas import tnas
from metanas.meta.tnas_plus_plus import SEVERAL, tnas_plus_plus
from metanas.spaces.darts import Darts

FORMAT = 3
"""Raised whenever the state's layout changes."""

SEARCHING = {"tnas": tnas, "tnas_plus_plus": tnas_plus_plus, "auto_maml": auto_maml}
"""Methods with an architecture, by the name of their file."""

UNUSED = {"tnas_plus_plus": SEVERAL, "auto_maml": ADAPTING}
"""Options that play no part in a method."""

ANY = 0
"""Ways and number of classes: heads of prototypes take any."""

Option = str | int | float | bool


@dataclass(frozen=True)
class MetaArchitecture:
    """Meta-learned weights and logits of a supernet.

    Attributes:
        method: one of `SEARCHING`.
        options: keyword arguments of the method's function, those not by default.
        input_shape: (channels, height, width) of images.
        parameters: the weights, the architecture's logits, and what else is learned.
        facts: how it was made and how good it was, for people.
        seen: `tasks.episodes.Classes.marks` of all images that it was trained or chosen by;
            empty where they are not known.

    Raises:
        ValueError: an unknown method or option, or parameters that do not fit.
    """

    method: str
    options: Mapping[str, Option]
    input_shape: tuple[int, int, int]
    parameters: Parameters
    facts: Mapping[str, Option] = field(default_factory=dict)
    seen: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        wanted = {name: p.shape for name, p in self.learner.initial(0).items()}
        found = {name: p.shape for name, p in self.parameters.items()}
        if wanted != found:
            odd = sorted({*wanted.items()} ^ {*found.items()})[0]
            raise ValueError(f"the parameters are not those of {self.method}: {odd[0]} {odd[1]}")

    @classmethod
    def fresh(
        cls,
        method: str,
        options: Mapping[str, Option],
        input_shape: tuple[int, int, int],
        *,
        seed: int,
    ) -> MetaArchitecture:
        """Where meta-training starts.

        Raises:
            ValueError: an unknown method or option.
        """
        parameters = searching(method, options, input_shape).initial(seed)
        return cls(method, options, input_shape, parameters)

    @property
    def learner(self) -> GradientLearner:
        """How the parameters are used."""
        return searching(self.method, self.options, self.input_shape)

    @property
    def described(self) -> str:
        """The method and all its options, those by default included."""
        return f"{self.method} {Super.of(self.options)} {self.learner.inner}"

    @property
    def digest(self) -> str:
        """Of the method, its options and all parameters: eight hexadecimal digits."""
        whole = hashlib.blake2b(self.described.encode(), digest_size=4)
        for name in sorted(self.parameters):
            whole.update(name.encode())
            whole.update(self.parameters[name].detach().cpu().contiguous().numpy().data)
        return whole.hexdigest()

    @property
    def frame(self) -> Super:
        """What stands around the operations, and which they are."""
        return Super.of(self.options)

    @property
    def relaxed(self) -> Relaxed:
        """How its architecture is written as logits."""
        relaxed = self.learner.relaxed
        if relaxed is None:
            raise ValueError(f"{self.method} has no architecture")
        return relaxed

    @property
    def space(self) -> Darts:
        """The space of the architectures that are derived."""
        made = self.frame
        return made.space

    @property
    def size(self) -> int:
        """Weights of the whole supernet."""
        return sum(p.numel() for name, p in self.parameters.items() if name.startswith(WEIGHTS))

    @property
    def architecture(self) -> Architecture:
        """What is derived before any adaptation."""
        return self.space.of_cells(self.cells(self.parameters))

    def cells(self, parameters: Mapping[str, Tensor]) -> dict[str, Cell]:
        """What is derived of these logits, by kind of cell.

        A kind that the layout lacks is given the other's cell: it is built nowhere.
        """
        relaxed = self.relaxed
        found = {
            kind: cell_of(
                strongest(
                    gates(parameters[f"{ARCHITECTURE}{kind}"], 1.0),
                    relaxed.operations,
                    relaxed.nodes,
                ),
                relaxed.operations,
                relaxed.nodes,
            )
            for kind in relaxed.kinds
        }
        some = next(iter(found.values()))
        return {kind: found.get(kind, some) for kind in ("normal", "reduction")}

    def state(self) -> dict[str, Any]:
        """Tensors, numbers, strings and containers of them."""
        return {
            "format": FORMAT,
            "method": self.method,
            "options": dict(self.options),
            "input_shape": list(self.input_shape),
            "parameters": {name: p.detach().cpu() for name, p in self.parameters.items()},
            "facts": dict(self.facts),
            "seen": torch.tensor(sorted(self.seen), dtype=torch.int64),
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> MetaArchitecture:
        """The one that `state` gave.

        Raises:
            ValueError: it is no such state, or one of another format.
        """
        try:
            if state["format"] != FORMAT:
                raise ValueError(f"need format {FORMAT}, got {state['format']}")
            channels, height, width = state["input_shape"]
            method = state["method"]
            # Older files may have options that never played a part.
            idle = UNUSED.get(method, ())
            return cls(
                method,
                {name: value for name, value in state["options"].items() if name not in idle},
                (channels, height, width),
                state["parameters"],
                state["facts"],
                # Not in older files.
                frozenset(state["seen"].tolist() if "seen" in state else ()),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it lacks what a meta-architecture has: {error!r}") from error


def searching(
    method: str, options: Mapping[str, Option], input_shape: tuple[int, int, int]
) -> GradientLearner:
    """The learner of a method with an architecture.

    Raises:
        ValueError: an unknown method or option.
    """
    if method not in SEARCHING:
        raise ValueError(
            f"need a method with an architecture, {', '.join(SEARCHING)}, got {method!r}"
        )
    Super.of(options)  # names what is unknown before it meets other arguments
    return SEARCHING[method](input_shape, ANY, ANY, **options)
