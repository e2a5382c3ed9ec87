"""How much each task learned from counts in a prediction, where a predictor can say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from metadata_store.records import Task


@runtime_checkable
class WeighsSources(Protocol):
    """A predictor that weighs the tasks it learned from."""

    def source_weights(self, task: Task) -> Mapping[str, float]:
        """The weight of every task fitted on in predictions for a task; they sum to 1.

        Args:
            task: the one predicted for; its own trials count where it was fitted on them.

        Raises:
            ValueError: as `Predictor.predict`.
        """
        ...
