"""Evaluators as a search runs them: epoch by epoch, and what it cost at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from metadata_store.records import Architecture, Task, TrialState

if TYPE_CHECKING:
    from metanas.evaluators.recorded import Recorded
    from metanas.evaluators.scratch import Scratch


class Measurement(Protocol):
    """One architecture being measured."""

    def curve(self) -> Generator[tuple[int, float], None, None]:
        """The metric after each epoch; closing it stops the training."""
        ...

    def last_epoch(self) -> int:
        """Of a curve that is not stopped; at it there is nothing left to stop."""
        ...

    def recorded(self) -> TrialState | None:
        """How it ended, where that was recorded before; None where its last value tells."""
        ...

    def seconds(self) -> float:
        """Time it took so far, that before a resumption included; NaN where unknown."""
        ...

    def extras(self) -> Mapping[str, float]:
        """As `metadata_store.records.Trial.extras`, so far."""
        ...


@dataclass(frozen=True)
class Measure:
    """How architectures are measured.

    Attributes:
        metric: of all curves.
        begin: the measurement of an architecture on a task with a seed; may raise.
        replays: whether another seed may give what was measured before, and no news.
    """

    metric: str
    begin: Callable[[Architecture, Task, int], Measurement]
    replays: bool = False


def training(evaluator: Scratch) -> Measure:
    """Trains."""
    return Measure(
        "val_accuracy",
        lambda architecture, task, seed: _Training(evaluator, architecture, task, seed),
    )


def replaying(evaluator: Recorded, task: Task) -> Measure:
    """Replays what a table knows of a task.

    Raises:
        ValueError: it knows nothing of it, or its trials have several metrics.
    """
    trials = evaluator.trials.where(task=task.name)
    metrics = trials.present("metric")
    if not metrics:
        known = ", ".join(sorted(evaluator.trials.present("task")))
        raise ValueError(f"need trials of task {task.name!r} to replay, got some of {known}")
    if len(metrics) > 1:
        raise ValueError(f"need trials of one metric, got {', '.join(metrics)}")
    return Measure(
        metrics[0],
        lambda architecture, task, seed: _Replay(evaluator, architecture, task, seed),
        replays=True,
    )


class _Training:
    def __init__(self, evaluator: Scratch, architecture: Architecture, task: Task, seed: int):
        self._run = evaluator.run(architecture, task, seed=seed)
        self._shape = task.input_shape
        self._epochs = evaluator.recipe.epochs

    def curve(self) -> Generator[tuple[int, float], None, None]:
        return iter(self._run)

    def last_epoch(self) -> int:
        return self._epochs

    def recorded(self) -> TrialState | None:
        return None

    def seconds(self) -> float:
        return self._run.seconds

    def extras(self) -> Mapping[str, float]:
        from metanas.networks.counts import count
        from metanas.networks.latency import latency

        counts = count(self._run.module, self._shape)
        extras = {
            "params": float(counts.params),
            "flops": float(counts.flops),
            "latency_s": latency(self._run.module, self._shape),
        }
        if self._run.losses:
            extras["train_loss"] = self._run.losses[-1]
        return extras


class _Replay:
    def __init__(self, evaluator: Recorded, architecture: Architecture, task: Task, seed: int):
        self._record = evaluator.record(architecture, task, seed=seed)
        self._epochs = 0

    def curve(self) -> Generator[tuple[int, float], None, None]:
        curve = self._record.curve
        for epoch, value in zip(curve.epochs, curve.values, strict=True):
            self._epochs += 1
            yield epoch, value

    def last_epoch(self) -> int:
        return max(self._record.curve.epochs)

    def recorded(self) -> TrialState | None:
        return self._record.state

    def seconds(self) -> float:
        """The recorded time, in proportion to the epochs replayed."""
        return self._record.seconds * self._epochs / max(len(self._record.curve), 1)

    def extras(self) -> Mapping[str, float]:
        return dict(self._record.extras)
