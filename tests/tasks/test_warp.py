import numpy as np
import torch

from tasks.warp import warped


def bars() -> torch.Tensor:
    """Two classes of nine images, the same upright bar in all."""
    pixels = torch.zeros(2, 9, 1, 16, 16, dtype=torch.uint8)
    pixels[..., 3:13, 7:9] = 255
    return pixels


def test_a_class_is_changed_as_a_whole() -> None:
    made = warped(bars(), 0.8, np.random.default_rng(5))
    assert (made.dtype, made.shape) == (torch.uint8, bars().shape)
    first, second = made.float()
    inside = (first - first.mean(0)).abs().mean() + (second - second.mean(0)).abs().mean()
    between = (first.mean(0) - second.mean(0)).abs().mean()
    assert between > 0.5 * inside


def test_a_class_is_bent() -> None:
    ends = warped(bars(), 0.8, np.random.default_rng(5)).float()
    assert not torch.allclose(ends.mean(0).mean(0), ends.mean(0).mean(0).flip(-2), atol=5)


def test_the_stronger_the_more() -> None:
    changed = [
        (warped(bars(), strength, np.random.default_rng(0)).float() - bars()).abs().mean()
        for strength in (0.0, 0.1, 0.5)
    ]
    assert changed[0] == 0  # a bar mirrored is a bar
    assert changed[0] < changed[1] < changed[2]
