"""A trial for tests, by its telling fields; see ``any_trial`` for any at all."""

from typing import Any

from metadata_store.records import Architecture, LearningCurve, Trial, TrialState

NUMBERS = (0.5, 0.25, 0.75)


def a_trial(number: int = 0, **fields: Any) -> Trial:
    """A completed trial of the task "flowers"; `number` tells its architecture."""
    given: dict[str, Any] = {
        "task": "flowers",
        "architecture": Architecture("cells", {"op": "conv", "number": number}),
        "curve": LearningCurve("val_accuracy", (1, 2, 3), NUMBERS),
        "state": TrialState.COMPLETED,
        "seed": 0,
        "source": "tests",
        "seconds": 1.5,
        "extras": {"params": 1000},
    }
    return Trial(**given | fields)
