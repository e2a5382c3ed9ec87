"""Trains many networks of one space at once, see `metanas.networks.fused_cells`.

All see the same batches, each as `Scratch` alone would train it with the same seed: the
curves are the same, but for rounding. In float64 they are equal; in float32 rounding grows
at the usual learning rate of 0.1, so that single epochs of a network differ by up to 0.3
and its score by up to 0.016. Whether training so is faster depends on the device, so it
is measured: kernels of a small network leave a GPU idle, and keep a processor's core busy
already.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from metadata_store.records import Architecture, Task
from metanas.evaluators import checkpoint
from metanas.evaluators.augmentation import augmentation
from metanas.evaluators.recipe import LEAST_STEPS
from metanas.evaluators.scratch import Scratch, channel_statistics
from metanas.evaluators.training import Lesson, epochs_of
from metanas.networks.fused_cells import FusedCells
from metanas.networks.ops import Normalised

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.load import TaskData

PROBED_NETWORKS = 8
"""At most so many networks of a group are timed one at a time, evenly over the group."""


class FusedRun:
    """One training of several networks; iterating it trains, or goes on.

    Yields the epoch, from 1 on, and every network's validation accuracy after it. A network
    that diverged has NaN from there on, and the others go on.

    Args:
        networks: taking normalised images; they get their weights in `restore`.
        mean, std: of each channel of images in [0, 1].
        path: of the checkpoint, None for none; what it holds is loaded at once.

    Attributes:
        modules: the networks, each taking images in [0, 1].
        values: accuracies so far, an epoch a row.
        losses: mean training losses likewise.
        seconds: time spent in the epochs so far, of all networks together.
        path: as given.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        lesson: Lesson,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        path: Path | None = None,
    ) -> None:
        self.modules = [Normalised(network, mean, std) for network in networks]
        self.values: list[list[float]] = []
        self.losses: list[list[float]] = []
        self.seconds = 0.0
        self._lesson = lesson
        self.path = path
        self._fused = FusedCells(networks)
        self._module = Normalised(self._fused, mean, std).eval().to(lesson.device)
        self._optimizer = lesson.recipe.optimizer(self._module)
        if path is not None:
            checkpoint.resume(path, self._resume)

    def __iter__(self) -> Iterator[tuple[int, list[float]]]:
        for epoch in range(1, self._lesson.recipe.epochs + 1):
            if epoch > len(self.values):
                self._train_epoch(epoch)
            yield epoch, self.values[epoch - 1]

    def restore(self) -> list[Normalised]:
        """The networks with the weights reached so far, on the CPU in evaluation mode."""
        self._fused.restore()
        return [module.eval() for module in self.modules]

    def _train_epoch(self, epoch: int) -> None:
        begin = time.perf_counter()
        losses: Tensor = self._lesson.train(self._module, self._optimizer, epoch)
        accuracies = self._lesson.accuracy(self._module)
        # As in a training alone: no accuracy counts once the loss is not finite.
        values = torch.where(losses.isfinite(), accuracies, math.nan).tolist()
        if self.values:
            lost = [math.isnan(value) for value in self.values[-1]]
            values = [math.nan if gone else v for gone, v in zip(lost, values, strict=True)]
        self.losses.append(losses.tolist())
        self.values.append(values)
        self.seconds += time.perf_counter() - begin
        if self.path is not None:
            checkpoint.write(
                self.path,
                {
                    "values": self.values,
                    "losses": self.losses,
                    "seconds": self.seconds,
                    "module": self._module.state_dict(),
                    "optimizer": self._optimizer.state_dict(),
                },
            )

    def _resume(self, state: checkpoint.State) -> None:
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.values, self.losses = epochs_of(state, len(self.modules))
        self.seconds = float(state["seconds"])


class Fused:
    """Trains groups of architectures as `Scratch` trains each.

    Args:
        alone: says how; its space must build cell networks.
    """

    def __init__(self, alone: Scratch) -> None:
        self.alone = alone

    def run(self, architectures: Sequence[Architecture], task: Task, *, seed: int) -> FusedRun:
        """A training of all of them; nothing is trained before it is iterated.

        Raises:
            ValueError: as `Scratch.run`.
            NotAlike: networks of this space cannot be fused.
            torch.OutOfMemoryError: the device has no memory for all at once; no checkpoint is
                left, since it would fail so again.
        """
        return self._at_checkpoint(architectures, task, seed)

    def begun(self, architectures: Sequence[Architecture], task: Task, *, seed: int) -> bool:
        """Whether such a training was cut off and can go on from its checkpoint.

        Raises as `run`.
        """
        return bool(self._at_checkpoint(architectures, task, seed).values)

    def _at_checkpoint(
        self, architectures: Sequence[Architecture], task: Task, seed: int
    ) -> FusedRun:
        data = self.alone.load(task)
        networks = [self.alone.fresh(each, task, seed) for each in architectures]
        statistics = channel_statistics(data.train.images)
        lesson = self.alone.lesson(data, seed)
        path = self.alone.path(nn.ModuleList(networks), architectures, task, data, lesson)
        try:
            return FusedRun(networks, lesson, *statistics, path=path)
        except torch.OutOfMemoryError:
            if path is not None:
                path.unlink(missing_ok=True)
            raise

    def gain(self, architectures: Sequence[Architecture], task: Task) -> float:
        """How many times as fast the architectures train together as one at a time.

        Measured on a few steps on the task's own images; what is trained is thrown away.

        Raises:
            NotAlike: networks of this space cannot be fused.
            torch.OutOfMemoryError: the device has no memory for all at once.
        """
        data, recipe = self.alone.load(task), self.alone.recipe
        few = _few(data, LEAST_STEPS * recipe.batch_size)
        augment = augmentation(recipe.augment, few.train.images, few.train.labels)
        lesson = Lesson(few, replace(recipe, epochs=2), augment, seed=0, device=self.alone.device)
        statistics = channel_statistics(few.train.images)
        networks = [self.alone.fresh(each, task, 0) for each in architectures]
        every = -(-len(networks) // PROBED_NETWORKS)
        # Copies: what is trained here moves to the device and changes.
        probed = [deepcopy(each) for each in networks[::every]]
        together = _seconds(Normalised(FusedCells(networks), *statistics), lesson)
        alone = sum(
            _seconds(Normalised(each, *statistics).to(memory_format=torch.channels_last), lesson)
            for each in probed
        )
        return alone * len(networks) / len(probed) / together


def _few(data: TaskData, images: int) -> TaskData:
    part = replace(data.train, images=data.train.images[:images], labels=data.train.labels[:images])
    return replace(data, train=part)


def _seconds(module: nn.Module, lesson: Lesson) -> float:
    """Of an epoch, after one to warm up."""
    module = module.to(lesson.device)
    optimizer = lesson.recipe.optimizer(module)
    lesson.train(module, optimizer, 1)
    _wait(lesson.device)
    begin = time.perf_counter()
    lesson.train(module, optimizer, 2)
    _wait(lesson.device)
    return time.perf_counter() - begin


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
