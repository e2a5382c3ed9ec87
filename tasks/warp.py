"""Images of few classes warped into images of classes that were never seen."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

OF_CLASS, OF_IMAGE = 1.0, 0.25
"""How much of a warp a class shares, and how much each image has to itself."""

TURN, STRETCH, SHEAR, MOVE = 0.6, 0.3, 0.4, 0.1
"""Standard deviations of a warp of strength 1: radians, logarithm of a factor, slope, share
of the side."""

BEND, PULLS = 0.08, 4
"""That of how far each of PULLS x PULLS places is pulled when a class is bent, in shares of the
side. Strokes that turn, stretch and shear alone stay as straight, or as round, as they were."""


def warped(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Each class changed as a whole, and each image a little.

    Args:
        images: uint8, shape (ways, n, channels, height, width).
        strength: 1 for the deviations above; 0 changes nothing but mirrors.

    Returns:
        The same shape and type.
    """
    ways, n, channels, height, width = images.shape
    own = _affine(strength * OF_IMAGE, (ways, n), rng)
    common = _affine(strength * OF_CLASS, (ways, 1), rng)
    common[..., 0] *= rng.choice([-1.0, 1.0], (ways, 1, 1))  # mirrored, or not
    common[..., 2] = 0.0  # where a character stands does not make another of it
    linear = common[..., :2] @ own[..., :2]
    moved = common[..., :2] @ own[..., 2:]
    maps = torch.from_numpy(np.concatenate([linear, moved], axis=-1)).float().flatten(0, 1)
    grid = functional.affine_grid(maps, [ways * n, channels, height, width], align_corners=False)
    grid = grid + _bent(strength, ways, (height, width), rng).repeat_interleave(n, 0)
    flat = images.flatten(0, 1).float()
    warped = functional.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    return warped.round().clamp(0, 255).byte().view_as(images)


def _bent(strength: float, ways: int, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """How far each place is pulled, smoothly; shape (ways, height, width, 2)."""
    pulls = torch.from_numpy(rng.normal(0.0, 2 * strength * BEND, (ways, 2, PULLS, PULLS))).float()
    field = functional.interpolate(pulls, size=size, mode="bicubic", align_corners=True)
    return field.movedim(1, -1)


def _affine(
    strength: float, shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Random maps of the plane near the identity, shape (*shape, 2, 3)."""
    turn, slope = rng.normal(0.0, strength, (2, *shape)) * np.array([TURN, SHEAR]).reshape(2, 1, 1)
    factors = np.exp(rng.normal(0.0, strength * STRETCH, (2, *shape)))
    cosine, sine = np.cos(turn), np.sin(turn)
    turned = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    sheared = np.zeros((*shape, 2, 2))
    sheared[..., 0, 0], sheared[..., 1, 1] = factors
    sheared[..., 0, 1] = slope
    move = rng.normal(0.0, 2 * strength * MOVE, (*shape, 2, 1))
    return np.concatenate([turned @ sheared, move], axis=-1)
