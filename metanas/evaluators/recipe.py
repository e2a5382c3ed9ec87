"""How networks are trained: the settings of stochastic gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from metanas.evaluators.augmentation import AUGMENTATIONS

LEAST_STEPS = 16
"""Steps of an epoch where there are images for them: a few hundred images in batches of 64
would be over after so few steps that what learns fastest would seem to be best."""

LEAST_BATCH = 8
"""Images that a step is not cut below for that; batch normalisation needs some."""

ENOUGH_STEPS = 600
"""Of a whole training, where nobody says how many epochs: twelve of a few hundred images are over
before a network has learned much, and rank architectures by how fast they begin."""

MOST_EPOCHS = 200
"""For that: of a few dozen images, epochs take less time than what is done between them."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; with task, architecture and seed it fixes the curve.

    Attributes:
        epochs: passes over the training split.
        batch_size: images a step at most, nearly: an epoch's images are dealt out evenly,
            in smaller batches where there are few, see `steps`.
        lr: first learning rate; the cosine schedule ends at 0.
        momentum: of Nesterov's kind; 0 for none.
        weight_decay: of all parameters.
        label_smoothing: share of the target spread over all classes.
        augment: one of `AUGMENTATIONS`.
        amp: compute in bfloat16 where it is safe; meant for GPUs.
    """

    epochs: int = 12
    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    augment: str = "auto"
    amp: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                "need one epoch and one image a batch at least, "
                f"got epochs={self.epochs}, batch_size={self.batch_size}"
            )
        if not 0 < self.lr < math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"need lr above 0 and weight_decay not below, got {self.lr} and {self.weight_decay}"
            )
        if not 0 <= self.momentum < 1 or not 0 <= self.label_smoothing < 1:
            raise ValueError(
                "momentum and label_smoothing lie in [0, 1), "
                f"got {self.momentum} and {self.label_smoothing}"
            )
        if self.augment not in AUGMENTATIONS:
            raise ValueError(
                f"augment must be one of {', '.join(AUGMENTATIONS)}, got {self.augment!r}"
            )

    def steps(self, images: int) -> int:
        """Steps of one epoch over so many images: `LEAST_STEPS`, or more for more images."""
        return max(round(images / self.batch_size), min(LEAST_STEPS, images // LEAST_BATCH), 1)

    def long_enough(self, images: int) -> Recipe:
        """With epochs for `ENOUGH_STEPS` over so many images, but `MOST_EPOCHS`; or as it is."""
        wanted = min(math.ceil(ENOUGH_STEPS / self.steps(images)), MOST_EPOCHS)
        return replace(self, epochs=max(self.epochs, wanted))

    def optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """Of all parameters; its learning rate is set step by step, see `Lesson`."""
        return torch.optim.SGD(
            module.parameters(),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            weight_decay=self.weight_decay,
            fused=True,
        )
