"""Images moved and magnified so that what they show stands in the middle, in one size.

[Transformer] Jaderberg et al. Spatial Transformer Networks. NeurIPS 2015: a map of the plane
for each image. Here it is learned nowhere: what is lighter than the task's mean is mass, its
centre becomes the image's, and its spread a fixed one.

Why: with one image of a class to learn from, where and how large somebody happened to draw
says more about a pair of images than what they drew. On Omniglot with five ways and one shot
that was worth three points.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SPREAD = 0.42
"""Standard deviation of the mass, half an image's side being 1."""

CLOSEST = 0.3
"""What is magnified most is seen so much larger that this share of the side fills it."""


EVENLY = 0.001
"""Mass that every pixel has, in deviations of the task: an image with next to none of its own
shows nothing that could be brought anywhere."""


class Centring(nn.Module):
    """Each image by itself: (n, c, h, w) of contrast as `metanas.meta.batch` brings it about.

    Nothing is made smaller: where the mass is spread out, as in most photographs, the whole
    image is kept, only moved.
    """

    def forward(self, x: Tensor) -> Tensor:
        mass = x.mean(1).clamp_min(0) + EVENLY  # (n, h, w)
        total = mass.sum((1, 2))
        across, variance_across = _moments(mass.sum(1), total)
        down, variance_down = _moments(mass.sum(2), total)
        scale = ((variance_across + variance_down) / 2).sqrt() / SPREAD
        scale = scale.clamp(CLOSEST, 1.0)
        n, _, height, width = x.shape
        columns = scale[:, None] * _places(width, x) + across[:, None]  # (n, w)
        rows = scale[:, None] * _places(height, x) + down[:, None]  # (n, h)
        grid = torch.stack(
            [
                columns[:, None].expand(n, height, width),
                rows[:, :, None].expand(n, height, width),
            ],
            dim=-1,
        )
        return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _places(n: int, like: Tensor) -> Tensor:
    """The middles of n pixels that fill [-1, 1]."""
    return (torch.arange(n, device=like.device, dtype=like.dtype) + 0.5) * (2 / n) - 1


def _moments(mass: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of places in [-1, 1] under a mass of shape (n, places)."""
    places = _places(mass.shape[1], mass)
    mean = (mass * places).sum(1) / total
    variance = (mass * (places - mean[:, None]).square()).sum(1) / total
    return mean, variance
