"""What meta-training trains and the bench compares: parameters that learn a task from a support.

The contract of this package. A learner is no network: it says how parameters become
predictions for a batch of tasks, as pure functions.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from metanas.meta.batch import Batch
from metanas.meta.recipe import Loss, Parameters


@runtime_checkable
class MetaLearner(Protocol):
    """Parameters that learn a task from its support."""

    turns: tuple[tuple[str, ...], ...]
    """Beginnings of the names that each outer step learns, in turn."""

    def initial(self, seed: int) -> Parameters:
        """Where meta-training starts."""
        ...

    def loss(self, parameters: Parameters, batch: Batch, *, progress: float) -> Loss:
        """The outer loss, at a share of meta-training done.

        Raises:
            ValueError: the batch has other ways than the learner.
        """
        ...

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        """Of the queries, having learned each task from its support; shape (b, q, n)."""
        ...
