"""The eight operations on an edge of a DARTS cell, and what cells are framed by.

[DARTS] Liu, Simonyan and Yang. DARTS: Differentiable Architecture Search. ICLR 2019.

Differs from the paper: a skip connection of stride 2 takes every other pixel, so
that it has no parameters at any stride, and normalisation after it is that of its
input.

Every layer with weights is a convolution or a normalisation of PyTorch's own, so that
`torch.func` maps over networks with other weights for each task. A 1x1 convolution is
written as a matrix product: with other weights for each task it then becomes one
batched product, which on a CPU takes a third of the time of a grouped convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

NONE = "none"
OPERATIONS = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""Names of the paper's eight, in its order."""

PARAMETER_FREE = frozenset(OPERATIONS[:4])


@dataclass(frozen=True)
class Norm:
    """How a network normalises over a batch.

    Attributes:
        affine: whether operations scale and shift what they normalised. In a supernet
            they do not: an edge's weight would mean nothing.
        running: whether running statistics are kept, as a network on its own needs. A
            pure function keeps none, and normalises every batch by itself.
    """

    affine: bool = True
    running: bool = True

    def __call__(self, channels: int, *, affine: bool | None = None) -> nn.Module:
        scaled = self.affine if affine is None else affine
        if self.running:
            return nn.BatchNorm2d(channels, affine=scaled)
        return (
            BatchNorm(channels)
            if scaled
            else nn.BatchNorm2d(channels, affine=False, track_running_stats=False)
        )


class BatchNorm(nn.Module):
    """Normalises every batch by itself, then scales and shifts: the parameters of PyTorch's own.

    Why: the second derivative of PyTorch's with scales of their own for each task, under
    `torch.func.vmap`, is wrong (2.15); without them it is right.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normal = nn.functional.batch_norm(x, None, None, training=True)
        return normal * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class Pointwise(nn.Module):
    """Convolution of 1x1 without bias: (n, inputs, h, w) to (n, outputs, h, w)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.weight = nn.Parameter(nn.Conv2d(inputs, outputs, 1, bias=False).weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        product = self.weight.flatten(1) @ x.flatten(2)
        return product.reshape(x.shape[0], self.outputs, *x.shape[2:])


class Every(nn.Module):
    """Every `stride`-th pixel."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x if self.stride == 1 else x[:, :, :: self.stride, :: self.stride]


class Separable(nn.Sequential):
    """ReLU, depthwise and 1x1 convolution, normalisation; halves the size at stride 2."""

    def __init__(
        self, channels: int, kernel: int, norm: Norm, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(
                channels,
                channels,
                kernel,
                stride,
                padding=dilation * (kernel // 2),
                dilation=dilation,
                groups=channels,
                bias=False,
            ),
            Pointwise(channels, channels),
            norm(channels),
        )


class Stem(nn.Sequential):
    """Convolutions of 3x3 before the first cell: halved, then normalised, which is cheaper.

    Args:
        channels: of the image, and after each convolution.
        halve: whether each convolution is followed by a halving.
    """

    def __init__(self, channels: tuple[int, ...], halve: tuple[bool, ...], norm: Norm) -> None:
        blocks: list[nn.Module] = []
        for inputs, outputs, half in zip(channels[:-1], channels[1:], halve, strict=True):
            blocks.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
            if half:
                blocks.append(nn.MaxPool2d(2, ceil_mode=True))
            blocks += [norm(outputs, affine=True), nn.ReLU()]
        super().__init__(*blocks)


class Entry(nn.Sequential):
    """What a cell does to one of its inputs: ReLU, halving where it is too large, 1x1, norm."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, *, stride: int) -> None:
        layers = [nn.ReLU(), Pointwise(inputs, outputs), norm(outputs)]
        if stride > 1:
            layers.insert(1, nn.AvgPool2d(stride, stride, ceil_mode=True))
        super().__init__(*layers)


def _pool(
    kind: type[nn.Module], channels: int, stride: int, norm: Norm, **options: bool
) -> nn.Module:
    return nn.Sequential(kind(3, stride=stride, padding=1, **options), norm(channels, affine=False))


def _twice(channels: int, kernel: int, stride: int, norm: Norm) -> nn.Module:
    return nn.Sequential(
        Separable(channels, kernel, norm, stride=stride), Separable(channels, kernel, norm)
    )


MAKERS: Mapping[str, Callable[[int, int, Norm], nn.Module]] = {
    "max_pool_3x3": lambda c, s, norm: _pool(nn.MaxPool2d, c, s, norm),
    "avg_pool_3x3": lambda c, s, norm: _pool(nn.AvgPool2d, c, s, norm, count_include_pad=False),
    "skip_connect": lambda c, s, norm: Every(s),
    "sep_conv_3x3": lambda c, s, norm: _twice(c, 3, s, norm),
    "sep_conv_5x5": lambda c, s, norm: _twice(c, 5, s, norm),
    "dil_conv_3x3": lambda c, s, norm: Separable(c, 3, norm, stride=s, dilation=2),
    "dil_conv_5x5": lambda c, s, norm: Separable(c, 5, norm, stride=s, dilation=2),
}
"""Operations by name, made for channels, a stride and a normalisation; `NONE` is not made."""


def share_of_parameter_free(gates: Tensor, operations: tuple[str, ...]) -> Tensor:
    """Weight on pooling and skip connections among all operations but none, in [0, 1].

    Args:
        gates: weights of operations on edges; shape (..., edges, operations).
    """
    some = torch.tensor([name != NONE for name in operations], device=gates.device)
    free = torch.tensor(
        [name in PARAMETER_FREE and name != NONE for name in operations], device=gates.device
    )
    return (gates * free).sum((-1, -2)) / (gates * some).sum((-1, -2)).clamp_min(1e-12)
