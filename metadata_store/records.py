"""The records everything is learned from: tasks, architectures, curves, trials.

Each is frozen, validates itself and compares by value, NaN equal to NaN. Curve
values are kept in float32 precision, the precision of the trial table, so that
a record read back equals the one written.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

Choice = str | int | float | bool
Value = TypeVar("Value")

FLOAT32_MAX = float.fromhex("0x1.fffffep127")
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
LARGEST = sys.float_info.max
NAME_BYTES = 2_500
"""Length of a name in UTF-8 at most: PostgreSQL's indices hold entries of 2,704 bytes.

Asked of names on their way into a store, not of every record: an SQLite store may hold
longer ones, from before they were looked at, and is read all the same.
"""

TABLE_KIND = "table"
"""Kind of a task known only by its trials: there is no data to load."""


class TrialState(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, eq=False)
class Task:
    """A dataset with a goal.

    Attributes:
        name: unique in a store.
        kind: names the loader; ``TABLE_KIND`` for a task known only by its trials.
        data: where the loader finds it, options included; empty for a table.
        n_samples: examples in all splits; 0 for a table.
        n_classes: None where the goal is no classification.
        input_shape: of one example, (channels, height, width) for images; () for a table.
        dcn: dataset characterisation number in [0, 1]; None until characterised.
        features: cheap measurements of the data by name.
    """

    name: str
    kind: str
    data: str
    n_samples: int
    n_classes: int | None
    input_shape: tuple[int, ...]
    dcn: float | None
    features: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.name or not self.kind:
            raise ValueError(f"a task needs a name and a kind, got {self.name!r} and {self.kind!r}")
        _require_text(self.name, self.kind, self.data)
        if self.n_samples < 0:
            raise ValueError(f"n_samples must not be negative, got {self.n_samples}")
        if self.n_classes is not None and self.n_classes < 2:
            raise ValueError(f"need at least two classes, got {self.n_classes}")
        if any(size < 1 for size in self.input_shape):
            raise ValueError(f"every input dimension must be at least 1, got {self.input_shape}")
        if self.dcn is not None and not 0.0 <= self.dcn <= 1.0:
            raise ValueError(f"the DCN lies in [0, 1], got {self.dcn}")
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "features", _frozen(self.features))

    def __reduce__(self) -> tuple[Any, ...]:
        return Task, (
            self.name,
            self.kind,
            self.data,
            self.n_samples,
            self.n_classes,
            self.input_shape,
            self.dcn,
            dict(self.features),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Task):
            return NotImplemented
        return (
            (self.name, self.kind, self.data) == (other.name, other.kind, other.data)
            and (self.n_samples, self.n_classes) == (other.n_samples, other.n_classes)
            and (self.input_shape, self.dcn) == (other.input_shape, other.dcn)
            and _same_numbers(self.features, other.features)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.data))

    @classmethod
    def table(cls, name: str) -> Task:
        """A task known only by its trials."""
        return cls(name, TABLE_KIND, "", 0, None, (), None, {})


@dataclass(frozen=True, eq=False)
class Architecture:
    """One point of a search space; ``choices`` are exactly Optuna's params.

    Hashed and compared by ``key``.

    Attributes:
        space: the search space's name.
        choices: by name; kept with sorted keys.
        json: canonical text of the choices, as in the trial table.
        key: hexadecimal digest of both fields.
    """

    space: str
    choices: Mapping[str, Choice]
    json: str = field(init=False, repr=False)
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.space:
            raise ValueError("an architecture needs the name of its space")
        _require_text(self.space)
        for name, choice in self.choices.items():
            if not isinstance(choice, str | int | float | bool):
                raise ValueError(
                    f"choice {name!r} must be a string, number or boolean, got {choice!r}"
                )
            if isinstance(choice, float) and not math.isfinite(choice):
                raise ValueError(f"choice {name!r} must be finite, got {choice!r}")
            if isinstance(choice, int) and abs(choice) > INT64_MAX:
                raise ValueError(f"choice {name!r} must fit in 64 bits")
        choices = _frozen(self.choices)
        text = json.dumps(dict(choices), sort_keys=True)
        object.__setattr__(self, "choices", choices)
        object.__setattr__(self, "json", text)
        object.__setattr__(self, "key", architecture_key(self.space, text))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return self.space == other.space and self.json == other.json

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        return Architecture, (self.space, dict(self.choices))

    @classmethod
    def from_json(cls, space: str, text: str) -> Architecture:
        """The architecture of a JSON object of choices.

        Raises:
            ValueError: the text is no JSON object of strings, numbers and booleans.
        """
        try:
            choices = json.loads(text)
        except RecursionError:
            raise ValueError(f"choices are nested too deep, got {text[:80]!r}") from None
        if not isinstance(choices, dict):
            raise ValueError(f"choices must be a JSON object, got {text[:80]!r}")
        return cls(space, choices)


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """A metric after each epoch; higher is better.

    Attributes:
        metric: importers negate losses.
        epochs: strictly increasing, from 1.
        values: in float32 precision; NaN where the run diverged.
    """

    metric: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.epochs) != len(self.values):
            raise ValueError(
                f"need one value an epoch, got {len(self.epochs)} epochs "
                f"and {len(self.values)} values"
            )
        if any(a >= b for a, b in zip((0, *self.epochs), self.epochs, strict=False)):
            raise ValueError(f"epochs must increase from 1, got {self.epochs[:10]}")
        if self.epochs and self.epochs[-1] > INT32_MAX:
            raise ValueError(f"an epoch fits in 32 bits, got {self.epochs[-1]}")
        _require_text(self.metric)
        object.__setattr__(self, "epochs", tuple(int(epoch) for epoch in self.epochs))
        object.__setattr__(self, "values", tuple(_float32(value) for value in self.values))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LearningCurve):
            return NotImplemented
        return (
            self.metric == other.metric
            and self.epochs == other.epochs
            and all(map(_same, self.values, other.values))
        )

    def __hash__(self) -> int:
        return hash((self.metric, self.epochs))

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def best(self) -> float | None:
        """The highest finite value, None where there is none."""
        return max((value for value in self.values if math.isfinite(value)), default=None)


@dataclass(frozen=True, eq=False)
class Trial:
    """One architecture trained on one task.

    Identity: task, architecture, seed, source.

    Attributes:
        task: the task's name.
        architecture: what was trained.
        curve: may be empty only where the trial failed.
        state: how it ended.
        seed: of the training.
        source: who measured it, e.g. "nasbench201" or "search:<study>".
        seconds: training time, NaN where unknown.
        extras: further numbers, e.g. "params"; "test_score" is for reports only.
    """

    task: str
    architecture: Architecture
    curve: LearningCurve
    state: TrialState
    seed: int
    source: str
    seconds: float = math.nan
    extras: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.task or not self.source:
            raise ValueError(
                f"a trial needs a task and a source, got {self.task!r} and {self.source!r}"
            )
        _require_text(self.task, self.source)
        object.__setattr__(self, "state", TrialState(self.state))
        if len(self.curve) == 0 and self.state is not TrialState.FAILED:
            raise ValueError(f"only a failed trial may have an empty curve, got {self.state}")
        if not -INT32_MAX - 1 <= self.seed <= INT32_MAX:
            raise ValueError(f"a seed fits in 32 bits, got {self.seed}")
        for name, value in self.extras.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"extra {name!r} must be an int or a float, got {value!r}")
            if isinstance(value, int) and abs(value) > LARGEST:
                raise ValueError(f"extra {name!r} is larger than any float")
        object.__setattr__(self, "extras", _frozen(self.extras))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trial):
            return NotImplemented
        return (
            self.identity == other.identity
            and self.state is other.state
            and self.curve == other.curve
            and _same(self.seconds, other.seconds)
            and _same_numbers(self.extras, other.extras)
        )

    def __hash__(self) -> int:
        return hash(self.identity)

    def __reduce__(self) -> tuple[Any, ...]:
        return Trial, (
            self.task,
            self.architecture,
            self.curve,
            self.state,
            self.seed,
            self.source,
            self.seconds,
            dict(self.extras),
        )

    @property
    def identity(self) -> tuple[str, Architecture, int, str]:
        """What makes two trials the same measurement."""
        return self.task, self.architecture, self.seed, self.source

    @property
    def score(self) -> float | None:
        """The best finite value of a completed trial, else None."""
        return self.curve.best if self.state is TrialState.COMPLETED else None


def architecture_key(space: str, text: str) -> str:
    """Digest of a space's name and of the canonical text of choices in it."""
    return hashlib.blake2b(f"{space}\n{text}".encode(), digest_size=16).hexdigest()


def is_text(text: str) -> bool:
    """Whether it has no NUL and no lone surrogate."""
    if "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def is_storable(name: str) -> bool:
    """Whether every store can hold the name: a text of `NAME_BYTES` at most."""
    return is_text(name) and _length(name) <= NAME_BYTES


def require_storable(*names: str) -> None:
    """Refuses names that some store cannot hold.

    Raises:
        ValueError: one is longer than `NAME_BYTES`, or no text.
    """
    _require_text(*names)
    for name in names:
        if _length(name) > NAME_BYTES:
            raise ValueError(
                f"a name has {NAME_BYTES:,} bytes at most, got {_length(name):,}: {name[:40]!r}…"
            )


def _length(text: str) -> int:
    """In bytes."""
    return len(text) if text.isascii() else len(text.encode())


def _require_text(*texts: str) -> None:
    for text in texts:
        if not is_text(text):
            raise ValueError(f"a name may hold no NUL and no lone surrogate, got {text!r}")


def _frozen(mapping: Mapping[str, Value]) -> Mapping[str, Value]:
    return MappingProxyType({key: mapping[key] for key in sorted(mapping)})


def _float32(value: float) -> float:
    if abs(value) > FLOAT32_MAX:
        raise ValueError(f"a curve holds float32 values, or NaN where it diverged, got {value}")
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _same_numbers(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return a.keys() == b.keys() and all(_same(value, b[name]) for name, value in a.items())
