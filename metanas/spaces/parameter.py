"""One choice of a table space, and how it is inferred from the values seen.

A choice whose values are all integers is an integer, all numbers a float, anything
else (strings, booleans, mixtures) categorical. A number is on a log scale where its
values are positive, span at least a factor of ten, and their median lies nearer the
geometric than the arithmetic middle of the range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Choice
from metanas.protocols import Chooser

LOG_RATIO = 10.0
"""A range is on a log scale only where its ends differ by this factor."""


@dataclass(frozen=True)
class Parameter:
    """One choice of a table space.

    Attributes:
        values: of a categorical choice, in order of type and value; empty for a number.
        low, high: range of a number.
        integer, log: how a number is drawn.
        optional: whether an architecture may lack it.
        parent, when: the categorical choice, and its values, that bring this one along;
            None and () where it is always there or nothing decides.
    """

    name: str
    values: tuple[Choice, ...] = ()
    low: float = 0.0
    high: float = 0.0
    integer: bool = False
    log: bool = False
    optional: bool = False
    parent: str | None = None
    when: tuple[Choice, ...] = ()

    def draw(self, chooser: Chooser) -> Choice:
        """A value in the domain."""
        if self.values:
            choice: Choice = chooser.suggest_categorical(self.name, self.values)
            return choice
        if self.integer:
            return chooser.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return chooser.suggest_float(self.name, self.low, self.high, log=self.log)

    def why_not(self, value: Choice) -> str | None:
        """What is wrong with a value, None where nothing is."""
        if self.values:
            known = any(same(value, other) for other in self.values)
            return None if known else f"must be one of {_listed(self.values)}"
        if isinstance(value, str | bool):
            return "must be a number"
        if self.integer and value != int(value):
            return "must be an integer"
        inside = self.low <= value <= self.high
        return None if inside else f"must lie in [{self.low:g}, {self.high:g}]"

    @property
    def can_change(self) -> bool:
        """Whether there is more than one value."""
        return len(self.values) > 1 or self.low < self.high

    def other(self, value: Choice, rng: np.random.Generator) -> Choice:
        """A different value; of a number one nearby: a normal step of a fifth of its range."""
        if self.values:
            others = [other for other in self.values if not same(value, other)]
            return others[int(rng.integers(len(others)))]
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        here = math.log(_number(value, self.low)) if self.log else _number(value, self.low)
        there = float(np.clip(here + rng.normal(0.0, (high - low) / 5), low, high))
        number = math.exp(there) if self.log else there
        number = min(max(number, self.low), self.high)
        if not self.integer:
            return number
        if round(number) != value:
            return round(number)
        return int(value) + (1 if value < self.high else -1)

    def column(self, values: Sequence[Choice | None]) -> NDArray[np.float32]:
        """Whether it is there, then one-hot or the place in the range; shape (n, features)."""
        present = np.array([value is not None for value in values], np.float32)
        if self.values:
            position = {_typed(value): 1 + i for i, value in enumerate(self.values)}
            encoded = np.zeros((len(values), 1 + len(self.values)), np.float32)
            codes = np.array([position.get(_typed(value), 0) for value in values], np.int64)
            encoded[np.arange(len(values)), codes] = 1.0
        else:
            numbers = np.array([_number(value, self.low) for value in values], np.float64)
            encoded = np.zeros((len(values), 2), np.float32)
            encoded[:, 1] = self._placed(numbers) * present
        encoded[:, 0] = present
        return encoded

    def _placed(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.high <= self.low:
            return np.full(len(numbers), 0.5)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        clipped = np.clip(numbers, self.low, self.high)
        placed: NDArray[np.float64] = (np.log(clipped) if self.log else clipped) - low
        return placed / (high - low)


def infer(columns: Mapping[str, Sequence[Choice | None]]) -> tuple[Parameter, ...]:
    """The parameters that columns of values stand for.

    Args:
        columns: by choice, the value in each architecture, None where it has none.
    """
    inferred = {name: _inferred(name, values) for name, values in columns.items()}
    always = [p for p in inferred.values() if p.values and not p.optional]
    return tuple(
        _with_parent(parameter, columns, always) if parameter.optional else parameter
        for parameter in inferred.values()
    )


def same(one: Choice, other: Choice) -> bool:
    """Equal and, as in JSON, of one type: True is not 1."""
    return _typed(one) == _typed(other)


def _inferred(name: str, column: Sequence[Choice | None]) -> Parameter:
    values = [value for value in column if value is not None]
    optional = len(values) < len(column)
    numbers = [value for value in values if isinstance(value, int | float)]
    if any(isinstance(value, str | bool) for value in values):
        distinct = {_typed(value): value for value in values}
        ordered = tuple(distinct[key] for key in sorted(distinct, key=str))
        return Parameter(name, values=ordered, optional=optional)
    low, high = min(numbers), max(numbers)
    log = False
    if low > 0 and high >= LOG_RATIO * low:
        place = np.median(np.log(numbers)) - math.log(low)
        log_place = place / (math.log(high) - math.log(low))
        place = (float(np.median(numbers)) - low) / (high - low)
        log = bool(abs(log_place - 0.5) < abs(place - 0.5))
    integer = all(isinstance(value, int) for value in numbers)
    return Parameter(name, low=low, high=high, integer=integer, log=log, optional=optional)


def _with_parent(
    parameter: Parameter,
    columns: Mapping[str, Sequence[Choice | None]],
    parents: Sequence[Parameter],
) -> Parameter:
    present = [value is not None for value in columns[parameter.name]]
    for parent in parents:
        seen: dict[object, set[bool]] = {}
        for value, there in zip(columns[parent.name], present, strict=True):
            seen.setdefault(_typed(value), set()).add(there)
        if all(len(both) == 1 for both in seen.values()):
            when = tuple(value for value in parent.values if seen[_typed(value)] == {True})
            return replace(parameter, parent=parent.name, when=when)
    return parameter


def _typed(value: Choice | None) -> tuple[str, Choice | None]:
    return type(value).__name__, value


def _number(value: Choice | None, default: float) -> float:
    return default if value is None or isinstance(value, str) else float(value)


def _listed(values: Sequence[Choice]) -> str:
    return ", ".join(repr(value) for value in values)
