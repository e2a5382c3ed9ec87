"""Normalisation and halving."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metanas.networks.ops import Normalised, Reduction


def test_normalised_images_have_mean_zero_and_deviation_one() -> None:
    images = torch.rand(64, 2, 9, 9) * torch.tensor([0.2, 0.9]).view(1, 2, 1, 1)
    std, mean = torch.std_mean(images, dim=(0, 2, 3), correction=0)
    out = Normalised(nn.Identity(), mean.tolist(), std.tolist())(images)
    std, mean = torch.std_mean(out, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, torch.ones(2), atol=1e-4, rtol=0)


def test_mean_and_deviation_are_saved_but_no_parameters() -> None:
    module = Normalised(nn.Identity(), [0.5], [0.25])
    assert list(module.parameters()) == []
    assert set(module.state_dict()) == {"mean", "std"}


@pytest.mark.parametrize(("mean", "std"), [([0.5], [0.0]), ([0.5], [0.1, 0.1]), ([0.5], [-1.0])])
def test_a_deviation_that_cannot_divide_is_refused(mean: list[float], std: list[float]) -> None:
    with pytest.raises(ValueError, match="positive deviation"):
        Normalised(nn.Identity(), mean, std)


@pytest.mark.parametrize("size", [1, 2, 7, 16, 25])
def test_reduction_halves_rounding_up(size: int) -> None:
    out = Reduction(2, 5)(torch.rand(3, 2, size, 4))
    assert out.shape == (3, 5, (size + 1) // 2, 2)
