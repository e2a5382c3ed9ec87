"""Trains a network from fresh weights; the score is the accuracy on the validation split.

How it is trained, and what a seed promises, stands in `metanas.evaluators.training`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from metadata_store.records import Architecture, Task
from metanas.evaluators.augmentation import augmentation
from metanas.evaluators.recipe import Recipe
from metanas.evaluators.training import Curve, Lesson, Run, mixed_seed, seeded
from metanas.networks.ops import Normalised
from metanas.protocols import SearchSpace

if TYPE_CHECKING:
    from tasks.load import Split, TaskData


def _load(task: Task) -> TaskData:
    from tasks.load import load

    return load(task)


class Scratch:
    """Implements `metanas.protocols.Evaluator`.

    Args:
        space: builds the networks.
        epochs, batch_size, lr, momentum, weight_decay, label_smoothing, augment, amp:
            see `Recipe`.
        device: where to train; "auto" is a GPU where there is one.
        checkpoints: folder for one file a training, rewritten after every epoch; the
            same training again goes on from it, and repeats nothing if it had ended.
        load: gives a task's images.

    Raises:
        ValueError: a number out of range, or a device that this machine lacks.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        epochs: int = Recipe.epochs,
        batch_size: int = Recipe.batch_size,
        lr: float = Recipe.lr,
        momentum: float = Recipe.momentum,
        weight_decay: float = Recipe.weight_decay,
        label_smoothing: float = Recipe.label_smoothing,
        augment: str = Recipe.augment,
        amp: bool = Recipe.amp,
        device: str = "auto",
        checkpoints: Path | None = None,
        load: Callable[[Task], TaskData] = _load,
    ) -> None:
        self.space = space
        self.recipe = Recipe(
            epochs, batch_size, lr, momentum, weight_decay, label_smoothing, augment, amp
        )
        self.device = _device(device)
        self.checkpoints = checkpoints
        self.load = load

    def __call__(self, architecture: Architecture, task: Task, *, seed: int) -> Curve:
        yield from self.run(architecture, task, seed=seed)

    def run(self, architecture: Architecture, task: Task, *, seed: int) -> Run:
        """The same training, with its network; nothing is trained before it is iterated.

        The network takes float images in [0, 1]: normalisation by the training
        images' mean and deviation is its first layer.

        Raises:
            ValueError: the space has no networks for such a task, or the task has no
                images that can be loaded.
        """
        network = self.fresh(architecture, task, seed)
        data = self.load(task)
        module = Normalised(network, *channel_statistics(data.train.images))
        lesson = self.lesson(data, seed)
        path = self.path(module, [architecture], task, data, lesson)
        return Run(module, lesson, path=path)

    def begun(self, architecture: Architecture, task: Task, *, seed: int) -> bool:
        """Whether such a training was cut off, or ended, and can go on from its checkpoint."""
        return bool(self.run(architecture, task, seed=seed).values)

    def fresh(self, architecture: Architecture, task: Task, seed: int) -> nn.Module:
        """The network as the seed initialises it."""
        with seeded(mixed_seed(seed, 0), self.device):
            return self.space.build(architecture, task)

    def lesson(self, data: TaskData, seed: int) -> Lesson:
        """What every network of a task and seed is taught."""
        augment = augmentation(self.recipe.augment, data.train.images, data.train.labels)
        return Lesson(data, self.recipe, augment, seed=seed, device=self.device)

    def path(
        self,
        module: nn.Module,
        architectures: Sequence[Architecture],
        task: Task,
        data: TaskData,
        lesson: Lesson,
    ) -> Path | None:
        """Where a training's checkpoint is kept, None where none is."""
        if self.checkpoints is None:
            return None
        # Names and shapes tell apart networks that a space builds with other options,
        # the images and labels themselves data that changed under the same name.
        facts = [
            *(architecture.key for architecture in architectures),
            task.name,
            task.kind,
            task.data,
            _digest(data.train, data.val),
            {name: list(value.shape) for name, value in module.state_dict().items()},
            asdict(self.recipe),
            asdict(lesson.augment),
            lesson.seed,
        ]
        digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()
        return self.checkpoints / f"{digest}.pt"


def channel_statistics(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of images scaled to [0, 1].

    Args:
        images: uint8; shape (n, c, h, w).
    """
    scale = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.float64)
        for part in torch.split(images[:, channel], 4096):
            counts += torch.bincount(part.reshape(-1), minlength=256)
        share = counts / counts.sum()
        mean = float(share @ scale)
        means.append(mean)
        # A channel that never changes carries nothing; one step of grey divides it safely.
        stds.append(max(math.sqrt(float(share @ (scale - mean).square())), 1 / 255))
    return means, stds


def _digest(*parts: Split) -> str:
    """Of every image and label, in their order, and of their shapes."""
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        for tensor in (part.images, part.labels):
            whole.update(str(tuple(tensor.shape)).encode())
            whole.update(np.ascontiguousarray(tensor.numpy()).data)
    return whole.hexdigest()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        line = str(error).splitlines()[0]
        raise ValueError(f"need a device of this machine, got {name!r}: {line}") from error
    return device
