"""The contracts between methods: five Protocols and the values they exchange.

A method is a function of what it is handed (trials, tasks, batches). It never
opens a store, logs or reads files, and can be rebuilt from trials at any time.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Architecture, Choice, Task, Trial

if TYPE_CHECKING:
    from torch import nn


class Chooser(Protocol):
    """Makes the choices of a space: Optuna's three ``suggest_*`` methods."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """An integer in [low, high]."""
        ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""
        ...


@dataclass(frozen=True)
class Prediction:
    """Scores expected of n architectures on one task.

    Attributes:
        mean: higher is better, on the predictor's own scale; shape (n,).
        std: uncertainty on the same scale, not negative; shape (n,).
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


@dataclass(frozen=True)
class Edge:
    """One edge of an architecture seen as a graph.

    Attributes:
        tail: node it comes from; the first node is the input.
        head: node it goes to; the last node is the output.
        operation: what happens on it.
        live: whether it lies on a path from input to output.
    """

    tail: int
    head: int
    operation: str
    live: bool


@dataclass(frozen=True)
class Costs:
    """What n architectures cost when built for one task.

    Attributes:
        params: trainable numbers, shape (n,).
        flops: multiply-adds of convolutions and linear layers for one input, shape (n,).
    """

    params: NDArray[np.int64]
    flops: NDArray[np.int64]


@runtime_checkable
class SearchSpace(Protocol):
    """A set of architectures."""

    @property
    def name(self) -> str:
        """As in `Architecture.space`."""
        ...

    @property
    def domain(self) -> Mapping[str, tuple[Choice, ...] | None]:
        """Every choice's allowed values in canonical order, None where it is numeric."""
        ...

    def suggest(self, chooser: Chooser) -> Architecture:
        """The architecture a chooser picks; every one can be reached."""
        ...

    def validate(self, architecture: Architecture) -> None:
        """Raises:
        ValueError: it is no architecture of this space; says why.
        """
        ...

    def canonical(self, architecture: Architecture) -> Architecture:
        """One representative for all architectures that compute the same."""
        ...

    def encode(self, architecture: Architecture) -> NDArray[np.float32]:
        """One row a layer or edge, in [0, 1]; shape (layers, features).

        Raises:
            ValueError: the architecture is of another space.
        """
        ...

    def encode_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """`encode` of many at once, shape (n, layers, features)."""
        ...

    def describe_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Numbers that do not depend on how an architecture is written down.

        Equal for architectures with the same canonical form; shape (n, numbers).
        """
        ...

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A neighbour: one choice changed, others kept."""
        ...

    def enumerate(self) -> Sequence[Architecture] | None:
        """All architectures, each once, where there are few enough to list, else None."""
        ...

    def parse(self, text: str) -> Architecture:
        """Reads what `format` writes, or a JSON object of the choices.

        Raises:
            ValueError: it describes no architecture of this space.
        """
        ...

    def format(self, architecture: Architecture) -> str:
        """The text by which people know the architecture."""
        ...

    def edges(self, architecture: Architecture) -> Sequence[Edge] | None:
        """The architecture as a graph, None where the space's are none."""
        ...

    def costs(self, architectures: Sequence[Architecture], task: Task) -> Costs | None:
        """Costs of the networks `build` makes, None where the space has none."""
        ...

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        """A plain, freshly initialised module from the task's inputs to its logits.

        Raises:
            ValueError: the space has no networks, or none for such a task.
        """
        ...


class Strategy(Protocol):
    """Proposes what to try next."""

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        """The architecture to train next.

        Args:
            trials: of `task` so far, in the order they ended; a stopped one's best
                value is a lower bound of its score.
            task: the one searched on.
            pending: being trained now, by this worker or others.

        Returns:
            One neither tried nor pending, as long as the space has such.
        """
        ...


class Predictor(Protocol):
    """Predicts scores on a task from trials of others, and of its own if there are any."""

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        """Learns from trials of one space; those without a score are passed over.

        Args:
            tasks: records of the trials' tasks, by name.
        """
        ...

    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        """Raises:
        ValueError: not fitted, or an architecture of another space.
        """
        ...


class CurveRanker(Protocol):
    """Says which of two runs will end higher."""

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self: ...

    def probability_better(self, trial: Trial, other: Trial, task: Task) -> float:
        """Chance in [0, 1] that `trial` ends higher than `other`."""
        ...


class Evaluator(Protocol):
    """Trains one architecture; yields (epoch, value). Closing it stops training."""

    def __call__(
        self, architecture: Architecture, task: Task, *, seed: int
    ) -> Generator[tuple[int, float], None, None]: ...
