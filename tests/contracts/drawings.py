"""Classes of small drawings that a network can tell apart."""

import numpy as np
import torch
from torch import Tensor

from tasks.episodes import Classes


def drawn_classes(
    n: int, images: int, *, side: int = 12, seed: int = 0, turned: bool = False, channels: int = 1
) -> Classes:
    """Each class a random coarse pattern, each image that with noise."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 2, (n, 1, 1, side // 3, side // 3)).repeat(3, -1).repeat(3, -2)
    noise = rng.normal(0, 25, (n, images, channels, side, side))
    pixels = np.clip(patterns * 200 + noise, 0, 255).astype(np.uint8)
    labels: Tensor = torch.arange(n).repeat_interleave(images)
    names = tuple(f"drawing {seed}/{i}" for i in range(n))
    return Classes(torch.from_numpy(pixels).flatten(0, 1), labels, names, turned)
