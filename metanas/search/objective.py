"""One trial: an evaluator run epoch by epoch, stopped where the pruner says so.

Whatever goes wrong in the training (memory runs out, the loss is no number, code raises)
makes a failed trial with its reason, and the search goes on. A replay ends as its record did:
one that was completed has its best value for a score, whatever its last value is.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

import optuna

from metadata_store.records import Architecture, LearningCurve, Task, TrialState
from metanas.search.measured import Measure, Measurement
from metanas.search.storage import patiently

Result = TypeVar("Result")

SCORE = "score"
TEXT_LENGTH = 300


class Interrupted(Exception):
    """The search is to end; the trial is for others to go on with."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        reason: why it failed, else "".
    """

    state: TrialState
    curve: LearningCurve
    seconds: float
    extras: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def objective(self, name: str) -> float | None:
        """The value of an objective such as "score" or "-params"; None where there is none."""
        name = name.removeprefix("-")
        if name == SCORE:
            return self.curve.best
        value = self.seconds if name == "seconds" else self.extras.get(name, math.nan)
        return value if math.isfinite(value) else None


def evaluate(
    trial: optuna.Trial,
    architecture: Architecture,
    task: Task,
    measure: Measure,
    *,
    seed: int,
    prunable: bool,
    interrupted: Callable[[], bool],
    on_epoch: Callable[[int, float], None] = lambda epoch, value: None,
) -> Outcome:
    """Runs a trial to its end, its failure, or where the pruner stops it.

    Args:
        prunable: whether to report to the pruner; Optuna has none for several objectives.
        interrupted: asked after each epoch.

    Raises:
        Interrupted: it said yes.
        StoreError: the study's database stays out of reach.
    """
    epochs: list[int] = []
    values: list[float] = []
    measurement: Measurement | None = None

    def ended(state: TrialState, reason: str = "") -> Outcome:
        curve = LearningCurve(measure.metric, tuple(epochs), tuple(values))
        if measurement is None:
            return Outcome(state, curve, math.nan, {}, reason)
        try:
            extras = _attempt(measurement.extras)
        except _Failed as error:
            # What has been trained is not lost for it; an objective that needs it fails.
            logging.getLogger(__name__).warning("trial %d has no extras: %s", trial.number, error)
            extras = {}
        return Outcome(state, curve, measurement.seconds(), extras, reason)

    try:
        measurement = _attempt(lambda: measure.begin(architecture, task, seed))
        with closing(measurement.curve()) as curve:
            while (point := _attempt(lambda: next(curve, None))) is not None:
                epoch, value = point
                epochs.append(epoch)
                values.append(value)
                on_epoch(epoch, value)
                if prunable:
                    _report(trial, epoch, value)
                    if epoch < measurement.last_epoch() and patiently(trial.should_prune):
                        return ended(TrialState.STOPPED)
                if interrupted():
                    raise Interrupted
    except _Failed as error:
        return ended(TrialState.FAILED, str(error))
    recorded = measurement.recorded()
    if recorded is TrialState.COMPLETED and any(map(math.isfinite, values)):
        return ended(TrialState.COMPLETED)
    if not epochs or not math.isfinite(values[-1]):
        when = f"in epoch {epochs[-1]}" if epochs else "before its first epoch"
        return ended(TrialState.FAILED, f"diverged {when}")
    return ended(TrialState.COMPLETED)


class _Failed(Exception):
    """The training raised; the message says what."""


def _attempt(call: Callable[[], Result]) -> Result:
    """Calls code that trains: whatever it raises is its trial's failure."""
    try:
        return call()
    except Exception as error:
        logging.getLogger(__name__).info("a training failed", exc_info=True)
        said = next(iter(str(error).strip().splitlines()), "")
        raise _Failed(f"{type(error).__name__}: {said}"[:TEXT_LENGTH]) from None


def _report(trial: optuna.Trial, epoch: int, value: float) -> None:
    patiently(lambda: trial.report(value, epoch))
