"""Trains a network from fresh weights; the score is the accuracy on the validation split.

How it is trained, and what a seed promises, stands in `metanas.evaluators.training`.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import pickle
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, fields, is_dataclass
from functools import cached_property
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

RECIPE, IMAGES = "recipe_mark", "image_mark"
MARKS = {RECIPE: "trained by another recipe", IMAGES: "trained on other images"}
"""Extras of a trial that tell what it is not to be compared with; older ones lack them."""


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

    @property
    def recipe_mark(self) -> float:
        """A whole number that tells recipes apart, for a trial's extras.

        What a recipe leaves at its default plays no part, so that one written before an option
        existed stays the same.
        """
        default = asdict(Recipe())
        told = {name: each for name, each in asdict(self.recipe).items() if each != default[name]}
        return _number(hashlib.blake2b(json.dumps(told, sort_keys=True).encode()).hexdigest())

    def path(
        self,
        module: nn.Module,
        architectures: Sequence[Architecture],
        task: Task,
        data: TaskData,
        lesson: Lesson,
    ) -> Path | None:
        """Where a training's checkpoint is kept, None where none is.

        Raises:
            ValueError: the space cannot be told from others, see `_told`.
        """
        if self.checkpoints is None:
            return None
        # Networks of equal names and shapes may differ in what their layers do, by the
        # space's options; data may change under the same name, its images tell.
        facts = [
            _told(self.space),
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


def _told(value: object) -> object:
    """What tells a space from every other, as JSON: its class, its options and theirs.

    A dataclass is told by its fields and any attribute it has besides, anything else by its
    pickle, which holds all there is to it. The former is the same in every process; of the
    latter that is not promised (a set has no order), and a training of such a space may start
    anew. What a space keeps of a cached property follows from the rest, and is left out.

    Raises:
        ValueError: it cannot be pickled either.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple | list):
        return [_told(each) for each in value]
    if isinstance(value, Mapping):
        return [[_told(key), _told(each)] for key, each in value.items()]
    kind = type(value)
    # Not of a class that only inherits from one: it may have attributes that are no fields.
    if is_dataclass(value) and "__dataclass_fields__" in vars(kind):
        options = {each.name: _told(getattr(value, each.name)) for each in fields(value)}
        # An argument of its constructor alone, an `InitVar`, is kept in another attribute.
        attributes = getattr(value, "__dict__", {})
        besides = attributes.keys() - options.keys() - _kept(value)
        options |= {name: _told(attributes[name]) for name in sorted(besides)}
        return [kind.__module__, kind.__qualname__, options]
    try:
        return pickle.dumps(_without(value, _kept(value))).hex()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"checkpoints need a space of plain fields, or one that pickles, got {value!r}: {error}"
        ) from error


def _kept(value: object) -> set[str]:
    """The cached properties that have been asked for."""
    cached = {
        name
        for kind in type(value).__mro__
        for name, member in vars(kind).items()
        if isinstance(member, cached_property)
    }
    return cached & getattr(value, "__dict__", {}).keys()


def _without(value: object, names: Set[str]) -> object:
    """The same but for these attributes."""
    if not names:
        return value
    bare = copy.copy(value)
    for name in names:
        vars(bare).pop(name, None)
    return bare


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


def image_mark(data: TaskData) -> float:
    """A whole number that tells the images and labels of training and validation apart."""
    return _number(_digest(data.train, data.val))


def _number(digest: str) -> float:
    """As many bits of it as any float holds."""
    return float(int(digest[:12], 16))


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
        float(torch.zeros(1, device=device))  # the device "meta" has tensors without values
    except (RuntimeError, AssertionError) as error:
        line = str(error).splitlines()[0].partition(". ")[0]
        raise ValueError(f"need a device of this machine, got {name!r}: {line}") from error
    return device
