"""The operations networks are made of, each a plain module class that pickles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


class Zero(nn.Module):
    """No connection: zeros of the input's shape."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class ReluConvBn(nn.Sequential):
    """ReLU, convolution without bias, batch normalisation; keeps the size at stride 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        )


class Reduction(nn.Module):
    """Residual block of stride 2: (n, c, h, w) to (n, outputs, ceil(h/2), ceil(w/2))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ReluConvBn(inputs, outputs, 3, 2), ReluConvBn(outputs, outputs, 3)
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, 2, ceil_mode=True), nn.Conv2d(inputs, outputs, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


class Normalised(nn.Module):
    """A network that takes raw images: subtracts the mean and divides by the deviation first.

    Mean and deviation are buffers, not parameters: they are saved and exported
    with the network but neither trained nor counted.

    Args:
        network: takes normalised images (n, c, h, w).
        mean: of each channel of images in [0, 1]; length c.
        std: standard deviation of each channel, positive; length c.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not all(value > 0 for value in std):
            raise ValueError(
                f"need a mean and a positive deviation a channel, got {mean} and {std}"
            )
        self.network = network
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of float images (n, c, h, w) in [0, 1]."""
        logits: Tensor = self.network((x - self.mean) / self.std)
        return logits


def _none(channels: int) -> nn.Module:
    return Zero()


def _skip_connect(channels: int) -> nn.Module:
    return nn.Identity()


def _nor_conv_1x1(channels: int) -> nn.Module:
    return ReluConvBn(channels, channels, 1)


def _nor_conv_3x3(channels: int) -> nn.Module:
    return ReluConvBn(channels, channels, 3)


def _avg_pool_3x3(channels: int) -> nn.Module:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


OPERATIONS: Mapping[str, Callable[[int], nn.Module]] = {
    "none": _none,
    "skip_connect": _skip_connect,
    "nor_conv_1x1": _nor_conv_1x1,
    "nor_conv_3x3": _nor_conv_3x3,
    "avg_pool_3x3": _avg_pool_3x3,
}
"""Operations of a cell's edge, made for a number of channels; each keeps the shape."""
