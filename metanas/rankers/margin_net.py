"""A small network that corrects a Gaussian prediction of a run's final value.

From the numbers of `metanas.rankers.searches` it gives, in the prediction's own unit,
how far off it is and how wide: score f and scale s. The chance that run i ends above j
is the logistic function of (f_i - f_j) / sqrt(s_i² + s_j²): LCRankNet's, with a scale
for each run. Trained in torch, asked in NumPy: a decision is one run at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from metanas.rankers.curve_table import Floats

SLOPE = 1.5
"""Of the logistic function: with it, it resembles Student's t with four degrees of freedom."""


@dataclass(frozen=True)
class Lessons:
    """Judgements with what the runs came to; n of them.

    Attributes:
        numbers: (n, numbers). centre, width: of the prediction to correct, (n,).
        final: (n,). rival: the best finished run at that moment, (n,).
        group: the source task, (n,).
    """

    numbers: Floats
    centre: Floats
    width: Floats
    final: Floats
    rival: Floats
    group: NDArray[np.int64]

    def where(self, rows: NDArray[np.bool_]) -> Lessons:
        """Some of them."""
        return Lessons(
            self.numbers[rows],
            self.centre[rows],
            self.width[rows],
            self.final[rows],
            self.rival[rows],
            self.group[rows],
        )


@dataclass(frozen=True)
class MarginNet:
    """A trained network.

    Attributes:
        columns: of the numbers that it reads.
        shift, unit: standardise them. layers: weights and biases.
    """

    columns: NDArray[np.int64]
    shift: Floats
    unit: Floats
    layers: tuple[tuple[Floats, Floats], ...]

    def __call__(self, numbers: Floats, centre: Floats, width: Floats) -> tuple[Floats, Floats]:
        """Score and scale of each run in the metric's unit, shapes (n,)."""
        hidden = np.clip((numbers[:, self.columns] - self.shift) / self.unit, -4.0, 4.0)
        for weight, bias in self.layers[:-1]:
            hidden = hidden @ weight.T + bias
            hidden = hidden / (1.0 + np.exp(-hidden))
        weight, bias = self.layers[-1]
        out = hidden @ weight.T + bias
        return centre + width * out[:, 0], width * np.exp(np.clip(out[:, 1], -8.0, 8.0))


def pair_loss(score: Tensor, log_scale: Tensor, final: Tensor, rival: Tensor) -> Tensor:
    """Pairwise loss against the best finished run, and the final value's likelihood.

    All of shape (n,), in the unit of the prediction that is corrected. A run that ends
    next to its rival has a label between 0 and 1.
    """
    inverse = torch.exp(-log_scale)
    label = torch.sigmoid((final - rival) * 50.0)
    pair = functional.binary_cross_entropy_with_logits(SLOPE * (score - rival) * inverse, label)
    off = (final - score) * inverse
    likelihood = log_scale + 2.5 * torch.log1p(off * off / 4.0)
    return pair + likelihood.clamp(max=20.0).mean()


def train(
    lessons: Lessons,
    columns: NDArray[np.int64],
    *,
    seed: int,
    steps: int = 700,
    passes: int = 20,
    hidden: int = 96,
    batch: int = 1024,
    lr: float = 2e-3,
) -> MarginNet:
    """Trains one network; the same seed gives the same one.

    Args:
        steps: at most. passes: over the lessons, at most, but for some hundred steps.
    """
    batch = min(batch, max(32, len(lessons.final) // 8))
    steps = min(steps, max(100, passes * len(lessons.final) // batch))
    numbers = lessons.numbers[:, columns]
    shift, unit = numbers.mean(axis=0), numbers.std(axis=0) + 1e-8
    given = torch.as_tensor(np.clip((numbers - shift) / unit, -4.0, 4.0), dtype=torch.float32)
    final = torch.as_tensor((lessons.final - lessons.centre) / lessons.width).float()
    rival = torch.as_tensor((lessons.rival - lessons.centre) / lessons.width).float()
    generator = torch.Generator().manual_seed(seed)
    net = _network(len(columns), hidden, generator)
    optimiser = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lr, total_steps=steps + 1, pct_start=0.1
    )
    order = torch.randperm(len(given), generator=generator)
    at = 0
    for _ in range(steps):
        if at + batch > len(order):
            order, at = torch.randperm(len(given), generator=generator), 0
        rows = order[at : at + batch]
        at += batch
        out = net(given[rows])
        loss = pair_loss(out[:, 0], out[:, 1], final[rows], rival[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    layers = tuple(
        (
            layer.weight.detach().numpy().astype(np.float64),
            layer.bias.detach().numpy().astype(np.float64),
        )
        for layer in net
        if isinstance(layer, nn.Linear)
    )
    return MarginNet(columns, shift, unit, layers)


def probability(
    score: Floats, scale: Floats, rival: Floats, rival_scale: Floats, *, margin: float = 0.0
) -> Floats:
    """Chance that a run ends above its rival, the mean over networks; (nets, n) to (n,).

    Args:
        margin: it must end above by some share of this, any share being as likely: a near
            tie counts in part.
    """
    width = np.maximum(np.sqrt(scale**2 + rival_scale**2) / SLOPE, 1e-12)
    odds = np.clip((score - rival) / width, -1e12, 1e12)
    if margin == 0.0:
        return np.asarray((1.0 / (1.0 + np.exp(-np.clip(odds, -60.0, 60.0)))).mean(axis=0))
    share = width / margin
    gain = share * (np.logaddexp(0.0, odds) - np.logaddexp(0.0, odds - 1.0 / share))
    return np.asarray(np.clip(gain, 0.0, 1.0).mean(axis=0))


def _network(inputs: int, hidden: int, generator: torch.Generator) -> nn.Sequential:
    layers = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 2)
    with torch.no_grad():
        for layer in layers[:-1]:
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        # It begins as the prediction it corrects.
        layers[-1].weight.zero_()
        layers[-1].bias.zero_()
    return nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])
