"""One training of one network, epoch by epoch.

Stochastic gradient descent with Nesterov momentum, a cosine schedule from the first
learning rate to 0 over all epochs ([SGDR] Loshchilov and Hutter. SGDR: Stochastic
Gradient Descent with Warm Restarts. ICLR 2017; one period, no restart), cross-entropy,
random crops, and mirroring where it is harmless.

On the CPU a seed gives the same curve and weights bit for bit, whatever was drawn
before, for the same number of threads; with a checkpoint also when the training was
cut off at any moment and taken up again.

Why: every epoch draws from generators seeded with (seed, epoch), so that nothing
random has to be saved to resume exactly. PyTorch's global generators are seeded for the
length of an epoch and put back; threads share them, so run several trainings in
processes, not in threads.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metanas.evaluators import checkpoint
from metanas.evaluators.augmentation import AUGMENTATIONS, Augmentation

if TYPE_CHECKING:
    from tasks.load import Split, TaskData

Curve = Generator[tuple[int, float], None, None]

LEAST_STEPS = 16
"""Steps of an epoch where there are images for them: a few hundred images in batches of 64
would be over after so few steps that what learns fastest would seem to be best."""

LEAST_BATCH = 8
"""Images that a step is not cut below for that; batch normalisation needs some."""

EVALUATION_BATCH = 512
"""Images at once where no gradient is kept."""


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


class Run:
    """One training. Iterating it trains, or goes on from where it stopped.

    Every iterator yields the whole curve, (epoch, validation accuracy) from epoch 1;
    what has been trained already is repeated from memory.

    Args:
        module: takes float images in [0, 1]; it is moved to the device and trained in place.
        augment: what `recipe.augment` means for the data.
        path: of the checkpoint, None for none; what it holds is loaded at once.

    Attributes:
        module: the network as trained so far, in evaluation mode between epochs.
        values: validation accuracy after each epoch so far; NaN if it diverged.
        losses: mean training loss of each epoch so far.
        seconds: time spent in the epochs so far, those before a resumption included.
    """

    def __init__(
        self,
        module: nn.Module,
        data: TaskData,
        recipe: Recipe,
        augment: Augmentation,
        *,
        seed: int,
        device: torch.device,
        path: Path | None = None,
    ) -> None:
        self.module = module.eval().to(device).to(memory_format=torch.channels_last)
        self.values: list[float] = []
        self.losses: list[float] = []
        self.seconds = 0.0
        self._recipe = recipe
        self._seed = seed
        self._device = device
        self._path = path
        self._augment = augment
        self._train = _on_device(data.train, device)
        self._val = _on_device(data.val, device)
        self._optimizer = torch.optim.SGD(
            self.module.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        if path is not None:
            self._resume(checkpoint.read(path))

    def __iter__(self) -> Curve:
        for epoch in itertools.count(1):
            if epoch > len(self.values):
                if self.diverged or epoch > self._recipe.epochs:
                    return
                self._train_epoch(epoch)
            yield epoch, self.values[epoch - 1]

    @property
    def diverged(self) -> bool:
        """The loss or the network's output stopped being finite; no epoch follows."""
        return bool(self.values) and math.isnan(self.values[-1])

    def _train_epoch(self, epoch: int) -> None:
        begin = time.perf_counter()
        mixed = mixed_seed(self._seed, epoch)
        generator = torch.Generator().manual_seed(mixed)
        images, labels = self._train
        steps = self._recipe.steps(len(images))
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        self.module.train()
        with seeded(mixed, self._device):
            order = torch.randperm(len(images), generator=generator)
            for step, index in enumerate(order.tensor_split(steps)):
                done = (epoch - 1 + step / steps) / self._recipe.epochs
                for group in self._optimizer.param_groups:
                    group["lr"] = self._recipe.lr * (1 + math.cos(math.pi * done)) / 2
                logits = self._logits(self._augment(images, index, generator))
                loss = functional.cross_entropy(
                    logits,
                    labels[index.to(self._device)],
                    label_smoothing=self._recipe.label_smoothing,
                )
                self._optimizer.zero_grad()
                torch.autograd.backward(loss)
                self._optimizer.step()
                total += loss.detach() * len(index)
        self.module.eval()
        loss_of_epoch = float(total) / len(images)
        value = self._accuracy() if math.isfinite(loss_of_epoch) else math.nan
        self.losses.append(loss_of_epoch)
        self.values.append(value)
        self.seconds += time.perf_counter() - begin
        if self._path is not None:
            checkpoint.write(self._path, self._state())

    def _logits(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of uint8 images (n, c, h, w)."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._recipe.amp):
            logits: Tensor = self.module(images.float().div_(255))
        return logits.float()

    @torch.inference_mode()
    def _accuracy(self) -> float:
        """Share of validation images classified right, NaN if any logit is not finite."""
        images, labels = self._val
        right = torch.zeros((), dtype=torch.float64, device=self._device)
        for start in range(0, len(images), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            logits = self._logits(images[part].permute(0, 3, 1, 2))
            right += (logits.argmax(1) == labels[part]).sum()
            right += (0 * logits).sum()
        return float(right) / len(images)

    def _state(self) -> checkpoint.State:
        return {
            "values": self.values,
            "losses": self.losses,
            "seconds": self.seconds,
            "module": self.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def _resume(self, state: checkpoint.State | None) -> None:
        if state is None:
            return
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.values, self.losses = list(state["values"]), list(state["losses"])
        self.seconds = float(state["seconds"])


def mixed_seed(*numbers: int) -> int:
    """One seed made of several 32-bit numbers, which may be negative."""
    words = [number % 2**32 for number in numbers]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """PyTorch's global generators seeded, and put back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _on_device(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images (n, h, w, c) and labels (n,)."""
    return split.images.permute(0, 2, 3, 1).contiguous().to(device), split.labels.to(device)
