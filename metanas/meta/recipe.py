"""How a task is learned, and what parameters are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

Parameters = dict[str, Tensor]

WEIGHTS, ARCHITECTURE, HEAD, RATES = "weights.", "architecture.", "head.", "rates."
"""What the names of parameters begin with."""

ORIGIN = "origin."
"""And those of the architecture's logits as they were before adaptation."""

SCALE = f"{HEAD}log_scale"

FIRST_SCALE = 10.0
"""Of prototypes' distances, before any is learned."""

EVERYTHING = ((WEIGHTS, ARCHITECTURE, HEAD, RATES),)
"""One turn of the outer loop that learns all."""


@dataclass(frozen=True)
class Pace:
    """Steps of gradient descent.

    Attributes:
        steps: how many.
        lr: of weights and head; 0 leaves them as they are.
        architecture_lr: of the architecture's logits, whose gradients have length 1;
            0 leaves the architecture as it is.
    """

    steps: int = 1
    lr: float = 0.1
    architecture_lr: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.lr < 0 or self.architecture_lr < 0:
            raise ValueError(
                "steps and rates must not be negative, "
                f"got {self.steps}, {self.lr} and {self.architecture_lr}"
            )


SEVERAL = Pace(8, 0.2, 0.004)
"""With several images a class: on unseen alphabets and other letters more accurate than fewer
steps or shorter ones, while faster steps of the architecture cost accuracy."""


@dataclass(frozen=True)
class Inner:
    """How one task is learned.

    Attributes:
        steps, lr, architecture_lr: see `Pace`.
        second_order: whether the outer gradient goes through the inner ones.
        learned_rates: whether each tensor has a rate of its own for each step, learned.
        own_rates: whether each logit of the architecture has a factor of its own to its
            rate, learned: few images say little about most operations, and which ones
            they tell about can be learned.
        every_step: whether the loss after every step counts, the earlier the less as
            meta-training goes on.
        warm_up: share of meta-training during which nothing adapts: features first, which
            takes a third of the time. Only with a head of prototypes.
        ways: once tasks adapt, those of more ways are taken apart into tasks of so many;
            None leaves them whole. Features are learned best from many classes at once,
            but a task of sixty has little of its own that one could adapt to. Only with
            a head of prototypes.
        several: the pace, once meta-trained, of tasks with several images a class: each of
            them is then judged by the others, which says more, and bears more steps, than
            what an image's own views are taken for. None adapts to them as to single ones.
            Only with a head of prototypes and rates that are not learned.
    """

    steps: int = 1
    lr: float = 0.1
    architecture_lr: float = 0.0
    second_order: bool = False
    learned_rates: bool = False
    own_rates: bool = False
    every_step: bool = False
    warm_up: float = 0.0
    ways: int | None = None
    several: Pace | None = None

    def __post_init__(self) -> None:
        if self.ways is not None and self.ways < 2:
            raise ValueError(f"tasks are of two ways at least, got {self.ways}")
        if self.learned_rates and self.several is not None:
            raise ValueError("learned rates are for one pace, got another for several images")
        _ = self.pace  # which checks its numbers

    @property
    def pace(self) -> Pace:
        """Of meta-training.

        Raises:
            ValueError: a negative number.
        """
        return Pace(self.steps, self.lr, self.architecture_lr)

    @property
    def of_weights(self) -> Inner:
        """The same, with the architecture left as it is."""
        several = self.several and replace(self.several, architecture_lr=0.0)
        return replace(self, architecture_lr=0.0, own_rates=False, several=several)


@dataclass(frozen=True)
class Relaxed:
    """The architecture of a supernet as logits.

    Attributes:
        kinds: of cells, with the shape (edges, operations) of each one's gates.
        operations: names, in the order of the gates.
        nodes: inner nodes of a cell.
        last_temperature: of the gates once they are hard.
        hard_from: share of meta-training from which on a batch meets only the strongest
            operations, so that the weights learn to do without the others; the logits
            tasks start from rest from then on.
        against_free: weight in the outer loss of the share of operations without
            parameters: left alone, searches collapse to skip connections.
    """

    kinds: Mapping[str, tuple[int, int]]
    operations: tuple[str, ...]
    nodes: int
    last_temperature: float = 0.1
    hard_from: float = 0.5
    against_free: float = 0.05


@dataclass(frozen=True)
class Loss:
    """The outer loss of a batch.

    Attributes:
        value: to go down; differentiable.
        accuracy: on the queries.
        free_share: of the gates on operations without parameters; NaN where there are none.
    """

    value: Tensor
    accuracy: float
    free_share: float
