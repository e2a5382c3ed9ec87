"""One architecture trained on one task: the trial, and the network to keep."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.evaluators.scratch import Scratch
from metanas.networks.counts import count

if TYPE_CHECKING:
    from torch import nn

METRIC = "val_accuracy"


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        trial: its record; failed where the training diverged.
        module: from images (n, channels, height, width) in [0, 1] to logits, on the
            CPU and in evaluation mode.
    """

    trial: Trial
    module: nn.Module


def train(
    architecture: Architecture,
    task: Task,
    *,
    evaluator: Scratch,
    seed: int,
    source: str,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Trained:
    """Trains to the end, or goes on from the evaluator's checkpoint.

    Args:
        source: of the trial.
        progress: called after each epoch.

    Raises:
        ValueError: the architecture cannot be built for the task, or its data
            cannot be loaded.
    """
    run = evaluator.run(architecture, task, seed=seed)
    epochs: list[int] = []
    with closing(iter(run)) as curve:
        for epoch, value in curve:
            epochs.append(epoch)
            progress(epoch, evaluator.recipe.epochs, f"{task.name}: {METRIC} {value:.4f}")
    counts = count(run.module, task.input_shape)
    extras = {
        "params": float(counts.params),
        "flops": float(counts.flops),
        "train_loss": run.losses[-1],
    }
    trial = Trial(
        task=task.name,
        architecture=architecture,
        curve=LearningCurve(METRIC, tuple(epochs), tuple(run.values)),
        state=TrialState.FAILED if run.diverged else TrialState.COMPLETED,
        seed=seed,
        source=source,
        seconds=run.seconds,
        extras=extras,
    )
    return Trained(trial, run.module.cpu().eval())
