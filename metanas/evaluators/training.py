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

import copy
import itertools
import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metanas.evaluators import checkpoint
from metanas.evaluators.augmentation import Augmentation
from metanas.evaluators.recipe import Recipe

if TYPE_CHECKING:
    from tasks.load import Split, TaskData

Curve = Generator[tuple[int, float], None, None]

EVALUATION_BATCH = 512
"""Images at once where no gradient is kept."""


class Lesson:
    """A task's images and how they are learned: what is the same for every network.

    Networks may be trained one at a time, or many as one module that gives logits of shape
    (networks, n, classes) instead of (n, classes). Each then sees the same batches as alone.

    Args:
        augment: what `recipe.augment` means for the data.
        seed: with the epoch it fixes order and augmentation.
        device: the images are kept there, and modules are expected there.
    """

    def __init__(
        self,
        data: TaskData,
        recipe: Recipe,
        augment: Augmentation,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.augment = augment
        self.seed = seed
        self.device = device
        self._train = _on_device(data.train, device)
        self._val = _on_device(data.val, device)

    def train(self, module: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> Tensor:
        """One epoch, from 1 on; the module is in evaluation mode afterwards.

        Returns:
            The mean training loss, of each network; shape () or (networks,).

        Raises:
            ValueError: a batch would be of one image, and the module cannot learn from one.
        """
        mixed = mixed_seed(self.seed, epoch)
        generator = torch.Generator().manual_seed(mixed)
        images, labels = self._train
        steps = self.recipe.steps(len(images))
        if len(images) // steps == 1:
            self._check_one_will_do(module)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        module.train()
        with seeded(mixed, self.device):
            order = torch.randperm(len(images), generator=generator)
            for step, index in enumerate(order.tensor_split(steps)):
                done = (epoch - 1 + step / steps) / self.recipe.epochs
                for group in optimizer.param_groups:
                    group["lr"] = self.recipe.lr * (1 + math.cos(math.pi * done)) / 2
                logits = self._logits(module, self.augment(images, index, generator))
                losses = self._losses(logits, labels[index.to(self.device)])
                optimizer.zero_grad()
                # No network's loss depends on another's weights.
                torch.autograd.backward(losses.sum())
                optimizer.step()
                total = total + losses.detach().double() * len(index)
        module.eval()
        return total / len(images)

    def _check_one_will_do(self, module: nn.Module) -> None:
        """Refuses a module that normalises over a batch what is one number of an image."""
        images, _ = self._train
        probed = copy.deepcopy(module).train()  # which changes its running statistics
        with seeded(0, self.device), torch.no_grad():
            try:
                self._logits(probed, images[:1].permute(0, 3, 1, 2))
            except ValueError as error:
                raise ValueError(
                    f"need batches of two images at least for a network that makes one pixel of "
                    f"an image of {images.shape[1]} x {images.shape[2]}, got batch_size="
                    f"{self.recipe.batch_size} for {len(images)} images; choose a larger one, or "
                    f"more or larger images"
                ) from error

    @torch.inference_mode()
    def accuracy(self, module: nn.Module) -> Tensor:
        """Share of validation images classified right, NaN where a logit is not finite.

        Returns:
            Of each network; shape () or (networks,).
        """
        images, labels = self._val
        right = torch.zeros((), dtype=torch.float64, device=self.device)
        for start in range(0, len(images), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            logits = self._logits(module, images[part].permute(0, 3, 1, 2))
            right = right + (logits.argmax(-1) == labels[part]).sum(-1)
            right = right + (0 * logits).sum((-2, -1))
        return right / len(images)

    def _logits(self, module: nn.Module, images: Tensor) -> Tensor:
        """Logits (..., n, classes) of uint8 images (n, c, h, w)."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.amp):
            logits: Tensor = module(images.float().div_(255))
        return logits.float()

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over a batch, shape () or (networks,)."""
        smoothing = self.recipe.label_smoothing
        if logits.ndim == 2:
            return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        each = functional.cross_entropy(
            logits.permute(1, 2, 0),
            labels[:, None].expand(-1, len(logits)),
            label_smoothing=smoothing,
            reduction="none",
        )
        return each.mean(0)


class Run:
    """One training. Iterating it trains, or goes on from where it stopped.

    Every iterator yields the whole curve, (epoch, validation accuracy) from epoch 1;
    what has been trained already is repeated from memory.

    Args:
        module: takes float images in [0, 1]; it is moved to the device and trained in place.
        path: of the checkpoint, None for none; what it holds is loaded at once.

    Attributes:
        module: the network as trained so far, in evaluation mode between epochs.
        values: validation accuracy after each epoch so far; NaN if it diverged.
        losses: mean training loss of each epoch so far.
        seconds: time spent in the epochs so far, those before a resumption included.
        path: as given.
    """

    def __init__(self, module: nn.Module, lesson: Lesson, *, path: Path | None = None) -> None:
        self.module = module.eval().to(lesson.device).to(memory_format=torch.channels_last)
        self.values: list[float] = []
        self.losses: list[float] = []
        self.seconds = 0.0
        self.path = path
        self._lesson = lesson
        self._optimizer = lesson.recipe.optimizer(self.module)
        if path is not None:
            checkpoint.resume(path, self._resume)

    def __iter__(self) -> Curve:
        for epoch in itertools.count(1):
            if epoch > len(self.values):
                if self.diverged or epoch > self._lesson.recipe.epochs:
                    return
                self._train_epoch(epoch)
            yield epoch, self.values[epoch - 1]

    @property
    def diverged(self) -> bool:
        """The loss or the network's output stopped being finite; no epoch follows."""
        return bool(self.values) and math.isnan(self.values[-1])

    def _train_epoch(self, epoch: int) -> None:
        begin = time.perf_counter()
        loss = float(self._lesson.train(self.module, self._optimizer, epoch))
        value = float(self._lesson.accuracy(self.module)) if math.isfinite(loss) else math.nan
        self.losses.append(loss)
        self.values.append(value)
        self.seconds += time.perf_counter() - begin
        if self.path is not None:
            checkpoint.write(self.path, self._state())

    def _state(self) -> checkpoint.State:
        return {
            "values": self.values,
            "losses": self.losses,
            "seconds": self.seconds,
            "module": self.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def _resume(self, state: checkpoint.State) -> None:
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.values, self.losses = epochs_of(state)
        self.seconds = float(state["seconds"])


def epochs_of(state: checkpoint.State, *networks: int) -> tuple[list[Any], list[Any]]:
    """Accuracies and losses in a checkpoint, of shape (epochs, *networks).

    Raises:
        TypeError, ValueError: they are no numbers, or of another shape.
    """
    values, losses = (
        torch.as_tensor(state[name], dtype=torch.float64) for name in ("values", "losses")
    )
    wanted = (len(values), *networks)
    if not values.shape == losses.shape == wanted:
        raise ValueError(
            f"need accuracies and losses of shape {wanted}, "
            f"got {tuple(values.shape)} and {tuple(losses.shape)}"
        )
    return values.tolist(), losses.tolist()


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
