"""A space inferred from trials, so that any imported benchmark can be searched.

What kind of choice each is follows from its values: see `metanas.spaces.parameter`.
A choice that some trials lack is conditional. Where one categorical choice decides
by its value whether it is there in every trial, the space follows that; otherwise
whether it is there is drawn as a choice ``<name>?`` of its own, which is not kept in
the architecture.

There are no networks: what the choices mean is known only to who made the trials.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Choice, Task, Trial
from metanas.protocols import Chooser
from metanas.spaces.parameter import Parameter, infer, same
from metanas.spaces.random_chooser import RandomChooser

if TYPE_CHECKING:
    from torch import nn

MAX_LISTED = 200_000
"""Spaces of more architectures than this are not enumerated."""


@dataclass(frozen=True)
class TableSpace:
    """Implements `metanas.protocols.SearchSpace`; make it with `TableSpace.of`."""

    name: str
    parameters: tuple[Parameter, ...]

    @classmethod
    def of(cls, trials: Iterable[Trial], name: str | None = None) -> TableSpace:
        """The space of these trials' choices.

        Raises:
            ValueError: there are no trials, or they are of several spaces and `name`
                does not say which.
        """
        architectures = Trials.of(trials).architectures
        spaces = sorted({architecture.space for architecture in architectures})
        if name is None:
            if len(spaces) != 1:
                raise ValueError(f"need trials of one space, got {', '.join(spaces) or 'none'}")
            name = spaces[0]
        rows = [a.choices for a in architectures if a.space == name]
        if not rows:
            raise ValueError(f"need trials of space {name!r}, got {', '.join(spaces) or 'none'}")
        names = sorted({choice for row in rows for choice in row})
        columns = {choice: [row.get(choice) for row in rows] for choice in names}
        return cls(name, infer(columns))

    @property
    def domain(self) -> Mapping[str, tuple[Choice, ...] | None]:
        """Values of the categorical choices, None for numbers."""
        return {parameter.name: parameter.values or None for parameter in self.parameters}

    def suggest(self, chooser: Chooser) -> Architecture:
        choices: dict[str, Choice] = {}
        for parameter in self._parents_first():
            if parameter.parent is not None:
                given = any(same(choices[parameter.parent], value) for value in parameter.when)
            elif parameter.optional:
                given = chooser.suggest_categorical(f"{parameter.name}?", (False, True))
            else:
                given = True
            if given:
                choices[parameter.name] = parameter.draw(chooser)
        return Architecture(self.name, choices)

    def validate(self, architecture: Architecture) -> None:
        self._check_names(architecture)
        for parameter in self.parameters:
            value = architecture.choices.get(parameter.name)
            if value is None:
                if not parameter.optional:
                    raise ValueError(f"space {self.name} needs a choice {parameter.name!r}")
            elif (reason := parameter.why_not(value)) is not None:
                raise ValueError(f"{parameter.name} {reason}, got {value!r}")

    def canonical(self, architecture: Architecture) -> Architecture:
        """The architecture itself: nothing is known about equal ones."""
        self.validate(architecture)
        return architecture

    def encode(self, architecture: Architecture) -> NDArray[np.float32]:
        """One row a choice: is it there, then one-hot or its place in the range.

        A value never seen in the trials is encoded all the same: a category as none
        of the known ones, a number at the nearer end of its range.
        """
        encoded: NDArray[np.float32] = self.encode_all([architecture])[0]
        return encoded

    def encode_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        columns = self._columns(architectures)
        width = max(column.shape[1] for column in columns)
        encoded = np.zeros((len(architectures), len(columns), width), np.float32)
        for row, column in enumerate(columns):
            encoded[:, row, : column.shape[1]] = column
        return encoded

    def describe_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """The columns of `encode` that can differ, and how often each value occurs.

        Values are counted over categorical choices that share their values, such as
        the operations on several nodes.
        """
        encoded = self._columns(architectures)
        columns = [
            column if parameter.optional else column[:, 1:]
            for parameter, column in zip(self.parameters, encoded, strict=True)
        ]
        alike: dict[tuple[Choice, ...], list[NDArray[np.float32]]] = {}
        for parameter, column in zip(self.parameters, encoded, strict=True):
            if parameter.values:
                alike.setdefault(parameter.values, []).append(column[:, 1:])
        counts = [np.sum(group, axis=0) for group in alike.values() if len(group) > 1]
        return np.concatenate([*columns, *counts], axis=1, dtype=np.float32)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Redraws one choice that can change; those that it brings or takes away follow."""
        self.validate(architecture)
        free = [p for p in self.parameters if p.name in architecture.choices and p.can_change]
        if not free:
            return architecture
        chosen = free[int(rng.integers(len(free)))]
        value = chosen.other(architecture.choices[chosen.name], rng)
        return self.suggest(_Keeping({**architecture.choices, chosen.name: value}, rng))

    def enumerate(self) -> Sequence[Architecture] | None:
        """All combinations of the seen values, None where there are numbers or too many."""
        if any(not p.values or (p.optional and p.parent is None) for p in self.parameters):
            return None
        if math.prod(len(parameter.values) for parameter in self.parameters) > MAX_LISTED:
            return None
        found: dict[str, Architecture] = {}
        names = [parameter.name for parameter in self.parameters]
        for values in product(*(parameter.values for parameter in self.parameters)):
            full = dict(zip(names, values, strict=True))
            kept = {
                p.name: full[p.name]
                for p in self.parameters
                if p.parent is None or any(same(full[p.parent], v) for v in p.when)
            }
            architecture = Architecture(self.name, kept)
            found.setdefault(architecture.key, architecture)
        return list(found.values())

    def parse(self, text: str) -> Architecture:
        """Reads a JSON object of the choices."""
        try:
            architecture = Architecture.from_json(self.name, text)
        except json.JSONDecodeError as error:
            raise ValueError(f"need a JSON object of choices, got {text[:80]!r}") from error
        self.validate(architecture)
        return architecture

    def format(self, architecture: Architecture) -> str:
        """JSON, as in the trial table."""
        self.validate(architecture)
        return architecture.json

    def edges(self, architecture: Architecture) -> None:
        """What the choices mean is not known."""

    def costs(self, architectures: Sequence[Architecture], task: Task) -> None:
        """There are no networks."""

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        """Raises ValueError: a table has no networks."""
        raise ValueError(
            f"space {self.name!r} is known only by its trials and has no networks to build"
        )

    def _parents_first(self) -> list[Parameter]:
        return sorted(self.parameters, key=lambda parameter: parameter.parent is not None)

    def _check_names(self, architecture: Architecture) -> None:
        if architecture.space != self.name:
            raise ValueError(
                f"need an architecture of {self.name!r}, got one of {architecture.space!r}"
            )
        names = [parameter.name for parameter in self.parameters]
        for name in architecture.choices:
            if name not in names:
                raise ValueError(
                    f"space {self.name} has no choice {name!r}, only {', '.join(names)}"
                )

    def _columns(self, architectures: Sequence[Architecture]) -> list[NDArray[np.float32]]:
        for architecture in architectures:
            self._check_names(architecture)
        return [
            parameter.column([a.choices.get(parameter.name) for a in architectures])
            for parameter in self.parameters
        ]


class _Keeping:
    """A chooser that keeps the choices made and draws the rest.

    A choice whose presence nothing decides stays absent where it was absent.
    """

    def __init__(self, choices: Mapping[str, Choice], rng: np.random.Generator) -> None:
        self._choices = {**choices, **{f"{name}?": True for name in choices}}
        self._random = RandomChooser(rng)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name in self._choices:
            return self._choices[name]
        if name.endswith("?"):
            return choices[0]
        return self._random.suggest_categorical(name, choices)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        if name in self._choices:
            return int(self._choices[name])
        return self._random.suggest_int(name, low, high, step=step, log=log)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if name in self._choices:
            return float(self._choices[name])
        return self._random.suggest_float(name, low, high, step=step, log=log)
