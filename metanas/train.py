"""Architectures trained on a task: the trials, and the networks to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.evaluators.fused import Fused
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
        checkpoint: the file that holds the end of the training, None where none was kept;
            of several trained together the same.
    """

    trial: Trial
    module: nn.Module
    checkpoint: Path | None = None


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
        progress: called at once with the epochs trained before, and after each further one.

    Raises:
        ValueError: the architecture cannot be built for the task, or its data
            cannot be loaded.
    """
    run = evaluator.run(architecture, task, seed=seed)
    epochs: list[int] = []
    begun = len(run.values)
    progress(begun, evaluator.recipe.epochs, task.name)
    with closing(iter(run)) as curve:
        for epoch, value in curve:
            epochs.append(epoch)
            if epoch > begun:
                progress(epoch, evaluator.recipe.epochs, f"{task.name}: {METRIC} {value:.4f}")
    trial = _trial(
        architecture,
        task,
        LearningCurve(METRIC, tuple(epochs), tuple(run.values)),
        run.module,
        seed=seed,
        source=source,
        seconds=run.seconds,
        loss=run.losses[-1],
    )
    return Trained(trial, run.module.cpu().eval(), run.path)


def train_together(
    architectures: Sequence[Architecture],
    task: Task,
    *,
    evaluator: Scratch,
    seed: int,
    source: str,
) -> list[Trained]:
    """Trains several to the end at once; the same trials as `train`, but for rounding.

    How far rounding grows is told in `metanas.evaluators.fused`. A trial's seconds are its
    share of the time all took.

    Raises:
        ValueError: as `train`.
        NotAlike: networks of this space cannot be fused.
        torch.OutOfMemoryError: the device has no memory for all at once; no checkpoint is left.
    """
    run = Fused(evaluator).run(architectures, task, seed=seed)
    try:
        for _ in run:
            pass
    except torch.OutOfMemoryError:
        if run.path is not None:
            run.path.unlink(missing_ok=True)
        raise
    trained = []
    for place, (architecture, module) in enumerate(zip(architectures, run.restore(), strict=True)):
        values = [row[place] for row in run.values]
        # A training alone ends where it diverges.
        length = next((i + 1 for i, v in enumerate(values) if math.isnan(v)), len(values))
        curve = LearningCurve(METRIC, tuple(range(1, length + 1)), tuple(values[:length]))
        trial = _trial(
            architecture,
            task,
            curve,
            module,
            seed=seed,
            source=source,
            seconds=run.seconds / len(architectures),
            loss=run.losses[length - 1][place],
        )
        trained.append(Trained(trial, module.cpu(), run.path))
    return trained


def _trial(
    architecture: Architecture,
    task: Task,
    curve: LearningCurve,
    module: nn.Module,
    *,
    seed: int,
    source: str,
    seconds: float,
    loss: float,
) -> Trial:
    counts = count(module, task.input_shape)
    return Trial(
        task=task.name,
        architecture=architecture,
        curve=curve,
        state=TrialState.FAILED if math.isnan(curve.values[-1]) else TrialState.COMPLETED,
        seed=seed,
        source=source,
        seconds=seconds,
        extras={
            "params": float(counts.params),
            "flops": float(counts.flops),
            "train_loss": loss,
        },
    )
