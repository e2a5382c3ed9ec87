"""Architectures as sequences of tokens, one a choice, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metadata_store.records import Architecture, Choice
from metanas.protocols import SearchSpace

MOST_NUMBERS = 16
"""A numeric choice has at most so many tokens, for values spread over those seen."""

ABSENT = ("", None)
"""Stands for a choice that an architecture lacks."""

Token = tuple[str, Choice | None]
"""A value with the name of its type, for 1 equals True."""


class Tokens:
    """The vocabulary of a space.

    Equal values of different choices share a token, as operations on different edges do.

    Args:
        seen: architectures whose numeric choices give those choices' values.
    """

    def __init__(self, space: SearchSpace, seen: Sequence[Architecture]) -> None:
        self._space = space
        self._values: dict[str, list[Token]] = {}
        for name, values in space.domain.items():
            given = [a.choices[name] for a in seen if name in a.choices]
            kept = list(values) if values is not None else _spread(given)
            tokens: list[Token] = [(type(value).__name__, value) for value in kept]
            lacking = not tokens or any(name not in a.choices for a in seen)
            if lacking:
                tokens.append(ABSENT)
            self._values[name] = tokens
        every = dict.fromkeys(token for tokens in self._values.values() for token in tokens)
        self._ids = {token: place for place, token in enumerate(every)}
        self.allowed = torch.zeros(len(self._values), len(every), dtype=torch.bool)
        for place, tokens in enumerate(self._values.values()):
            self.allowed[place, [self._ids[token] for token in tokens]] = True

    def encode(self, architectures: Sequence[Architecture]) -> Tensor:
        """Token of each choice, shape (n, choices)."""
        rows = [
            [self._token(name, a.choices.get(name)) for name in self._values] for a in architectures
        ]
        return torch.tensor(rows, dtype=torch.long).reshape(len(rows), len(self._values))

    def decode(self, ids: Tensor) -> Architecture | None:
        """The architecture of these tokens, None where the space has no such.

        Args:
            ids: each allowed for its choice, shape (choices,).
        """
        every = list(self._ids)
        picked = [every[place][1] for place in ids.tolist()]
        choices = {
            name: value
            for name, value in zip(self._values, picked, strict=True)
            if value is not None
        }
        architecture = Architecture(self._space.name, choices)
        try:
            self._space.validate(architecture)
        except ValueError:
            return None
        return architecture

    def _token(self, name: str, value: Choice | None) -> int:
        tokens = self._values[name]
        token = ABSENT if value is None else (type(value).__name__, value)
        if token in tokens:
            return self._ids[token]
        numbers = [t for t in tokens if isinstance(t[1], int | float)]
        if not numbers or not isinstance(value, int | float):
            return self._ids[tokens[-1]]
        return self._ids[min(numbers, key=lambda t: abs(float(t[1] or 0) - float(value)))]


def _spread(values: Sequence[Choice]) -> list[Choice]:
    """Up to `MOST_NUMBERS` of the distinct values, evenly over their order."""
    distinct = sorted({value for value in values if not isinstance(value, str)})
    if len(distinct) <= MOST_NUMBERS:
        return list(distinct)
    places = np.linspace(0, len(distinct) - 1, MOST_NUMBERS).round().astype(int)
    return [distinct[place] for place in places]
