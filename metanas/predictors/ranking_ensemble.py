"""An ensemble of small networks that learn which of two architectures scores higher.

All members are trained side by side as one batch of matrices. Each has a trunk for all
tasks and a head for each, so tasks with few trials share what they have in common.
The loss compares pairs of one task [RankNet], weighted by how far they are apart.

[RankNet] Burges et al. Learning to Rank using Gradient Descent. ICML 2005.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

WIDTH = 64
SUBSET = 160
"""Architectures a step, drawn anew for each member."""
SHIFTS = 16
"""Partners each of them is compared with in a step."""
TASKS = 16
"""Tasks compared in a step."""


def require_ensemble(members: int, steps: int) -> None:
    """Raises a ValueError unless both are positive, before anything is made ready to learn."""
    if members < 1 or steps < 1:
        raise ValueError(f"members and steps must be at least 1, got {members} and {steps}")


class RankingEnsemble:
    """m networks from d numbers to a score on each of t tasks.

    Args:
        members: m; they differ in initial weights and in what they see when.
        steps: of AdamW, for 200 architectures; more architectures get more.
        seed: of all randomness; the global generator is left alone.
    """

    def __init__(self, *, members: int, steps: int, seed: int) -> None:
        self._members = members
        self._steps = steps
        self._seed = seed
        self._parameters: list[Tensor] = []

    def fit(self, inputs: Tensor, targets: Tensor) -> RankingEnsemble:
        """Trains on n architectures.

        Args:
            inputs: standardised, shape (n, d).
            targets: per task on one scale, NaN where unknown; shape (t, n).
        """
        generator = torch.Generator().manual_seed(self._seed)
        n, n_tasks = inputs.shape[0], targets.shape[0]
        sizes = (inputs.shape[1], WIDTH, WIDTH, n_tasks)
        self._parameters = []
        for fan_in, fan_out in pairwise(sizes):
            shape = self._members, fan_in, fan_out
            weight = torch.randn(shape, generator=generator) * (2.0 / max(fan_in, 1)) ** 0.5
            self._parameters += [weight, torch.zeros(self._members, 1, fan_out)]
        for parameter in self._parameters:
            parameter.requires_grad_()
        steps = int(self._steps * min(max(n / 200, 1.0), 8.0))
        optimiser = torch.optim.AdamW(self._parameters, lr=3e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
        size = max(2, min(SUBSET, int(0.8 * n)))
        by_architecture = targets.T.contiguous()  # (n, t)
        for _ in range(steps):
            rows = torch.rand(self._members, n, generator=generator).argsort(1)[:, :size]
            tasks = torch.randperm(n_tasks, generator=generator)[:TASKS]
            scores = self.scores(self._trunk(inputs[rows]))[:, :, tasks]
            loss = _pairwise(scores, by_architecture[rows][:, :, tasks], generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        for parameter in self._parameters:
            parameter.requires_grad_(False)
        return self

    def __call__(self, inputs: Tensor) -> Tensor:
        """Scores of n architectures, shape (m, n, t)."""
        with torch.inference_mode():
            return self.scores(self.features(inputs))

    def features(self, inputs: Tensor) -> Tensor:
        """What the trunks make of n architectures, the same for all tasks; (m, n, `WIDTH`)."""
        with torch.inference_mode():
            return self._trunk(inputs.expand(self._members, *inputs.shape))

    def scores(self, features: Tensor) -> Tensor:
        """Of n architectures, from their `features`; shape (m, n, t)."""
        return torch.baddbmm(self._parameters[5], features, self._parameters[4])

    def _trunk(self, inputs: Tensor) -> Tensor:
        first, first_bias, second, second_bias = self._parameters[:4]
        hidden = functional.silu(torch.baddbmm(first_bias, inputs, first))
        return functional.silu(torch.baddbmm(second_bias, hidden, second))


def _pairwise(scores: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
    """Mean logistic loss of pairs; both (members, rows, tasks)."""
    size = scores.shape[1]
    shifts = 1 + torch.randperm(size - 1, generator=generator)[:SHIFTS]
    partner = (torch.arange(size) + shifts[:, None]) % size  # (shifts, rows)
    difference = scores[:, None] - scores[:, partner]  # (members, shifts, rows, tasks)
    apart = targets[:, None] - targets[:, partner]
    known = torch.isfinite(apart)
    apart = torch.where(known, apart, 0.0)
    loss = functional.softplus(-difference * torch.sign(apart)) * apart.abs()
    return 2.0 * loss.sum() / known.sum().clamp(min=1)
