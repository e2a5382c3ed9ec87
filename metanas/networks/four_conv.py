"""Four convolutions: the network few-shot methods are usually compared with.

[Matching] Vinyals et al. Matching Networks for One Shot Learning. NeurIPS 2016.
"""

from __future__ import annotations

from torch import Tensor, nn

from metanas.networks.darts_ops import Norm

BLOCKS = 4


class FourConv(nn.Module):
    """Images (n, c, h, w) to features (n, width * places), or logits where classes are given.

    Each block is a 3x3 convolution, normalisation, ReLU and a halving; where an image is
    too small to be halved any more, it stays. What is left of large images is averaged.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        *,
        width: int = 32,
        norm: Norm | None = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise ValueError(f"need images of shape (channels, height, width), got {input_shape}")
        if width < 1:
            raise ValueError(f"need a channel at least, got width={width}")
        norm = norm or Norm(running=False)
        channels, *sides = input_shape
        blocks: list[nn.Module] = []
        for _ in range(BLOCKS):
            blocks += [nn.Conv2d(channels, width, 3, padding=1), norm(width), nn.ReLU()]
            if min(sides) > 1:
                blocks.append(nn.MaxPool2d(2))
                sides = [side // 2 for side in sides]
            channels = width
        self.body = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.features = width
        self.head = nn.Linear(width, n_classes) if n_classes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.pool(self.body(x)).flatten(1))
        return out
