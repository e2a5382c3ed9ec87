"""Episodes as networks see them: floats, brought to one contrast by what is known of each task.

Why by the support alone: a network meta-learned on dark strokes on white paper meets
light letters on black ones, and photographs. The support's mean and deviation make
their contrast alike, and a sign makes the rarer shade the lighter one. Each is one
number a channel and task, and so can be built into the network that is handed out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.episodes import Episodes

SHIFTS = ((1, 2), (-2, 1))
"""Rows and columns by which views of the support are moved, at 28 pixels a side."""


@dataclass(frozen=True)
class Batch:
    """b tasks of n ways.

    Attributes:
        support: shape (b, n * k, c, h, w), class by class.
        support_labels: shape (b, n * k).
        query: shape (b, q, c, h, w).
        query_labels: shape (b, q).
        classes: where each task's classes stand among those drawn from, shape (b, n).
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.support)

    @property
    def ways(self) -> int:
        """Classes of a task."""
        return self.classes.shape[1]


def batch_of(episodes: Episodes) -> Batch:
    """Standardised by the support's contrast."""
    shift, factor = contrast(episodes.support)
    return Batch(
        _scaled(episodes.support, shift, factor),
        episodes.support_labels,
        _scaled(episodes.query, shift, factor),
        episodes.query_labels,
        episodes.classes,
    )


def contrast(support: Tensor) -> tuple[Tensor, Tensor]:
    """What to subtract from images in [0, 1], and what to multiply them by.

    Args:
        support: uint8, shape (b, n, c, h, w).

    Returns:
        Two tensors of shape (b, c); factors are negative where dark is rarer than light.
    """
    images = support.float() / 255
    mean = images.mean((1, 3, 4))
    centred = images - mean[:, None, :, None, None]
    std = centred.square().mean((1, 3, 4)).sqrt().clamp_min(1 / 255)
    skew = centred.mean(2).pow(3).mean((1, 2, 3))
    sign = torch.where(skew < 0, -1.0, 1.0)
    return mean, sign[:, None] / std


def views(support: Tensor) -> Tensor:
    """The support moved a little, twice: what a network should see the same in.

    Args:
        support: shape (..., h, w).

    Returns:
        One more leading dimension of 2.
    """
    scale = support.shape[-1] / 28
    moved = [
        torch.roll(support, (round(rows * scale), round(columns * scale)), (-2, -1))
        for rows, columns in SHIFTS
    ]
    return torch.stack(moved)


def _scaled(images: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    centred = images.float() / 255 - shift[:, None, :, None, None]
    return centred * factor[:, None, :, None, None]
