"""What a space asks its chooser for, given the architecture that is to come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metadata_store.records import Architecture
from metanas.protocols import SearchSpace

PRESENCE = "?"
"""Ends the name under which a space asks whether there is a choice at all."""


def asked(space: SearchSpace, architecture: Architecture) -> Mapping[str, Any]:
    """The answers with which `space.suggest` gives the architecture, by name.

    More than its choices: a space may ask what follows from them. A space that lists its
    architectures gives the listed one nearest to it, and the answers are those for that.

    Raises:
        ValueError: no answers give one.
    """
    chooser = _Answering(architecture.choices)
    made = space.suggest(chooser)
    if made == architecture:
        return chooser.answers
    chooser = _Answering(made.choices)
    if space.suggest(chooser) != made:
        raise ValueError(f"space {space.name!r} has no answers that give {made.json}")
    return chooser.answers


class _Answering:
    def __init__(self, choices: Mapping[str, Any]) -> None:
        self._choices = choices
        self.answers: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name not in self._choices and name.endswith(PRESENCE):
            return self._answered(name, name.removesuffix(PRESENCE) in self._choices)
        return self._answered(name, self._wanted(name))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return int(self._answered(name, int(self._wanted(name))))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._answered(name, float(self._wanted(name))))

    def _wanted(self, name: str) -> Any:
        if name not in self._choices:
            raise ValueError(f"the architecture has no choice {name!r}")
        return self._choices[name]

    def _answered(self, name: str, value: Any) -> Any:
        self.answers[name] = value
        return value
