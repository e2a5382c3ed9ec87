"""DCN: the dataset characterisation number, how well small networks do after little training.

[TAPAS] Istrate et al. TAPAS: Train-less Accuracy Predictor for Architecture Search. AAAI 2019.
Differs from the paper: the probe is a plain network of four convolution blocks with 16,
32, 64 and 128 channels that halve the image until it has four pixels a side; the DCN is
the mean over three seeds of the best validation accuracy, so its noise stays well under
the distance that separates tasks.

Why it costs what it costs: images are at most 32x32, at most 8,000 for training and 2,000
for validation; a probe sees 48,000 images or ten epochs, whichever is less, but a small
set gets up to twenty epochs to make 200 steps: fewer say more of the start than of the
data. Strides in place of pooling and one cycle of the learning rate reach, in a third of
the time, an accuracy above that of ten epochs at a constant rate. Probes run side by side
on the CPU, one thread each: such small networks gain little from more, and the number
depends neither on the threads nor on an accelerator.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.load import Split, TaskData
from tasks.one_thread import one_thread
from tasks.source import Progress, silent
from tasks.split import subset

WIDTHS = (16, 32, 64, 128)
MOST_PIXELS = 32
MOST_TRAIN, MOST_VAL = 8_000, 2_000
MOST_EPOCHS = 10
MOST_EPOCHS_SMALL, LEAST_STEPS = 20, 200
MOST_SEEN = 48_000
"""Images a probe is trained on, counting each epoch's."""
PEAK_RATE = 6e-3


@dataclass(frozen=True)
class Characterisation:
    """What the probes reached.

    Attributes:
        scores: best validation accuracy of each seed, in [0, 1].
    """

    scores: tuple[float, ...]

    @property
    def dcn(self) -> float:
        """The mean, in [0, 1]; low for hard data."""
        return float(np.mean(self.scores))

    @property
    def std(self) -> float:
        """Between seeds; 0 for a single one."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else 0.0


def characterise(
    data: TaskData, *, seed: int = 0, probes: int = 3, progress: Progress = silent
) -> Characterisation:
    """Trains the probes; the same for the same data and seed.

    Args:
        probes: how many, each with a seed of its own.
    """
    if probes < 1:
        raise ValueError(f"need at least one probe, got {probes}")
    with one_thread():
        return _characterise(data, seed, probes, progress)


def build(channels: int, n_classes: int, size: tuple[int, int]) -> nn.Module:
    """The probe network, freshly initialised."""
    layers: list[nn.Module] = []
    height, width = size
    for out in WIDTHS:
        stride = (2 if height > 4 else 1, 2 if width > 4 else 1)
        height, width = -(-height // stride[0]), -(-width // stride[1])
        layers += [
            nn.Conv2d(channels, out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        ]
        channels = out
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes)]
    return nn.Sequential(*layers, *head).to(memory_format=torch.channels_last)


def _characterise(data: TaskData, seed: int, probes: int, progress: Progress) -> Characterisation:
    train, train_labels = _prepared(data.train, MOST_TRAIN, seed)
    val, val_labels = _prepared(data.val, MOST_VAL, seed)
    mean = train.mean(dim=(0, 2, 3), keepdim=True)
    std = train.std(dim=(0, 2, 3), keepdim=True).clamp_min(1e-3)
    train, val = (train - mean) / std, (val - mean) / std
    epochs, batch = _budget(len(train))
    size = train.shape[2], train.shape[3]
    trainers = []
    with torch.random.fork_rng(devices=[]):
        for probe in range(probes):
            torch.manual_seed(seed * 1_000 + probe)
            network = build(train.shape[1], len(data.classes), size)
            draw = torch.Generator().manual_seed(seed * 1_000 + probe)
            trainers.append(_Trainer(network, train, train_labels, epochs, batch, draw))

    def advance(trainer: _Trainer) -> float:
        trainer.epoch()
        return _accuracy(trainer.network, val, val_labels)

    best = [0.0] * probes
    with ThreadPoolExecutor(min(probes, os.cpu_count() or 1)) as pool:
        for epoch in range(epochs):
            best = list(map(max, best, pool.map(advance, trainers)))
            progress(epoch + 1, epochs, "training probe networks")
    return Characterisation(tuple(best))


class _Trainer:
    def __init__(
        self,
        network: nn.Module,
        images: Tensor,
        labels: Tensor,
        epochs: int,
        batch: int,
        draw: torch.Generator,
    ) -> None:
        self.network, self.images, self.labels = network, images, labels
        self.batch, self.draw = batch, draw
        self.steps = len(images) // batch
        self.optimizer = torch.optim.Adam(network.parameters(), lr=PEAK_RATE)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, PEAK_RATE, total_steps=epochs * self.steps
        )

    def epoch(self) -> None:
        self.network.train()
        order = torch.randperm(len(self.images), generator=self.draw)
        for step in range(self.steps):
            rows = order[step * self.batch : (step + 1) * self.batch]
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.network(self.images[rows]), self.labels[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()


def _budget(n: int) -> tuple[int, int]:
    """Epochs and batch size for n training images."""
    batch = min(max(n // 16, min(16, n)), 128)
    epochs = min(MOST_EPOCHS, max(1, MOST_SEEN // n))
    enough = math.ceil(LEAST_STEPS / (n // batch))
    return max(epochs, min(enough, MOST_EPOCHS_SMALL)), batch


def _prepared(part: Split, most: int, seed: int) -> tuple[Tensor, Tensor]:
    """Reals in [0, 1] of at most 32 pixels a side, shape (n, c, h, w), and labels."""
    rng = np.random.default_rng([seed, 3])
    rows = torch.from_numpy(subset(part.labels.numpy(), most, least=1, rng=rng))
    size = [min(side, MOST_PIXELS) for side in part.images.shape[2:]]
    images = torch.cat([_shrunk(chunk, size) for chunk in part.reals(rows)])
    return images.contiguous(memory_format=torch.channels_last), part.labels[rows]


def _shrunk(images: Tensor, size: list[int]) -> Tensor:
    if list(images.shape[2:]) == size:
        return images
    return functional.interpolate(images, size, mode="bilinear", antialias=True)


@torch.no_grad()
def _accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    network.eval()
    guesses = torch.cat([network(chunk).argmax(dim=1) for chunk in torch.split(images, 500)])
    return float((guesses == labels).double().mean())
