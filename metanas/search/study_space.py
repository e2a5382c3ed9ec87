"""The space of a study whose objective asks for its parameters one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Choice
from metanas.search.asked import PRESENCE
from metanas.search.study import ARCHITECTURE, fixed_params
from metanas.spaces.parameter import Parameter, infer, same
from metanas.spaces.table import TableSpace

NONE = "None"
"""An Optuna choice of None, as a choice of ours."""


class StudySpace:
    """What a study's trials were asked, and what trials of other tasks were.

    A parameter that some of them lack is one that an architecture may lack; ranges cover
    both, so that all trials are of the space.

    Args:
        name: of the space.
        known: trials of other tasks in it.
    """

    def __init__(self, name: str, known: Trials) -> None:
        self.name = name
        rows = [each.choices for each in known.architectures]
        names = sorted({choice for row in rows for choice in row})
        self._columns = {choice: [row.get(choice) for row in rows] for choice in names}
        self._inferred = {each.name: each for each in infer(self._columns)} if rows else {}

    def __call__(self, trials: Sequence[FrozenTrial]) -> TableSpace | None:
        """The space as far as trials of the study tell; None where nothing is known at all."""
        done = [each for each in trials if each.state.is_finished() and each.distributions]
        asked: dict[str, BaseDistribution] = {}
        for each in done:
            asked |= {
                name: how for name, how in each.distributions.items() if not name.endswith(PRESENCE)
            }
        if not asked:
            parameters = list(self._inferred.values())
        else:
            parameters = []
            for name in sorted(asked.keys() | self._inferred.keys()):
                optional = any(name not in each.distributions for each in done) or (
                    bool(self._inferred) and None in self._columns.get(name, [None])
                )
                parameters.append(self._parameter(name, asked.get(name), optional))
        return TableSpace(self.name, tuple(parameters)) if parameters else None

    def _parameter(self, name: str, asked: BaseDistribution | None, optional: bool) -> Parameter:
        seen = [value for value in self._columns.get(name, []) if value is not None]
        if asked is None:
            inferred = self._inferred[name]
            return Parameter(
                name,
                inferred.values,
                inferred.low,
                inferred.high,
                inferred.integer,
                inferred.log,
                optional=True,
            )
        numbers = [value for value in seen if isinstance(value, int | float)]
        categorical = isinstance(asked, CategoricalDistribution) or any(
            isinstance(value, str | bool) for value in seen
        )
        if categorical:
            values = [as_choice(value) for value in getattr(asked, "choices", ())]
            for value in seen:
                if not any(same(value, other) for other in values):
                    values.append(value)
            return Parameter(name, values=tuple(values), optional=optional)
        if not isinstance(asked, IntDistribution | FloatDistribution):
            raise ValueError(f"parameter {name!r} has an unknown distribution: {asked}")
        low, high = min([asked.low, *numbers]), max([asked.high, *numbers])
        integer = isinstance(asked, IntDistribution) and all(type(n) is int for n in numbers)
        return Parameter(
            name,
            low=low,
            high=high,
            integer=integer,
            log=asked.log and low > 0,
            optional=optional,
        )


def as_choice(value: Any) -> Choice:
    """A parameter's value as a choice of an architecture."""
    return NONE if value is None else value


def as_architecture(space: str, params: Mapping[str, Any], names: Sequence[str]) -> Architecture:
    """The part of a trial's parameters that has these names."""
    return Architecture(space, {n: as_choice(params[n]) for n in names if n in params})


@dataclass(frozen=True)
class SpaceNames:
    """What the choices of spaces are called.

    Attributes:
        sets: by space, the different sets of names that its known architectures have.
    """

    sets: Mapping[str, frozenset[frozenset[str]]]

    @classmethod
    def of(cls, known: Mapping[str, Trials]) -> SpaceNames:
        """Of the trials of each space; one without trials is none."""
        return cls(
            {
                name: frozenset(frozenset(each.choices) for each in trials.architectures)
                for name, trials in known.items()
                if len(trials)
            }
        )

    def alike(self, names: Iterable[str]) -> str | None:
        """The space whose choices have these names; None where there is none.

        One with an architecture of exactly these choices comes first. Else they are all that
        its architectures have in common, and none that no one has.
        """
        asked = frozenset(name.removesuffix(PRESENCE) for name in names)
        if not asked:
            return None
        fitting = [
            (asked not in sets, len(frozenset.union(*sets)), name)
            for name, sets in self.sets.items()
            if frozenset.intersection(*sets) <= asked <= frozenset.union(*sets)
        ]
        return min(fitting)[2] if fitting else None


def trained(space: str, trial: FrozenTrial, names: Sequence[str], *, told: bool) -> Architecture:
    """What a trial trains, as far as it has been asked for.

    Args:
        names: of the space's choices.
        told: whether the study is metanas's own, whose trials have the attribute
            `ARCHITECTURE`; in another study it may be anything.

    Raises:
        ValueError: a value that no architecture can have.
    """
    text = trial.user_attrs.get(ARCHITECTURE) if told else None
    if text is not None:
        return Architecture.from_json(space, text)
    return as_architecture(space, trial.params or fixed_params(trial), names)


def nearest_value(distribution: BaseDistribution, choice: Choice) -> Any:
    """What a distribution allows that is nearest to a choice; None where nothing is near.

    The value None itself is not given, for it would read as nothing.
    """
    number = None if isinstance(choice, str | bool) else float(choice)
    if isinstance(distribution, CategoricalDistribution):
        for value in distribution.choices:
            if value is not None and same(value, choice):
                return value
        numbers = [v for v in distribution.choices if type(v) in (int, float)]
        if number is None or not numbers:
            return None
        return min(numbers, key=lambda value: abs(float(value) - number))  # type: ignore[arg-type]
    if number is None or not isinstance(distribution, IntDistribution | FloatDistribution):
        return None
    inside = min(max(number, distribution.low), distribution.high)
    if distribution.step is not None and not distribution.log:
        steps = round((inside - distribution.low) / distribution.step)
        most = math.floor((distribution.high - distribution.low) / distribution.step + 1e-9)
        # A sum of steps may lie a rounding error above.
        inside = min(distribution.low + min(steps, most) * distribution.step, distribution.high)
    return round(inside) if isinstance(distribution, IntDistribution) else inside
