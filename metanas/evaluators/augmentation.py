"""Augmentation of whole batches on tensors: random crops, and mirroring where it is harmless.

Why: whether a mirrored image still shows its class is a property of the data (yes
for animals, no for digits and letters, in colour or not), so it is measured once on
the training images instead of guessed from their format.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

AUGMENTATIONS = ("auto", "none", "crop", "crop_flip")
"""What may be asked for; "auto" chooses between the last two by `mirrors_keep_class`."""


@dataclass(frozen=True)
class Augmentation:
    """Random crops of images whose border is repeated outwards, and random mirroring.

    Attributes:
        pad: the largest shift in pixels, in every direction.
        flip: mirror every other image, left to right.
    """

    pad: int
    flip: bool

    def __call__(self, images: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
        """The images at `index`, augmented.

        Args:
            images: of any type, channels last; shape (n, h, w, c).
            index: positions in `images`, on the CPU; shape (batch,).
            generator: on the CPU, so that a seed means the same on every device.

        Returns:
            A view (batch, c, h, w) of memory with the channels last.
        """
        if self.pad == 0 and not self.flip:
            return images[index.to(images.device)].permute(0, 3, 1, 2)
        n, height, width = len(index), images.shape[1], images.shape[2]
        shift = torch.randint(-self.pad, self.pad + 1, (2, n, 1), generator=generator)
        rows = (torch.arange(height) + shift[0]).clamp_(0, height - 1)  # (batch, h)
        columns = (torch.arange(width) + shift[1]).clamp_(0, width - 1)  # (batch, w)
        if self.flip:
            mirrored = torch.rand((n, 1), generator=generator) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        # One flat gather of whole pixels is much faster than indexing three dimensions.
        pixels = (index[:, None] * height + rows)[:, :, None] * width + columns[:, None, :]
        flat = images.view(-1, images.shape[3])
        picked = flat.index_select(0, pixels.view(-1).to(images.device))
        return picked.view(n, height, width, -1).permute(0, 3, 1, 2)


def augmentation(name: str, images: Tensor, labels: Tensor) -> Augmentation:
    """The augmentation of that name for a task.

    Args:
        name: one of `AUGMENTATIONS`.
        images: of training, uint8; shape (n, c, h, w).
        labels: int64; shape (n,).

    Raises:
        ValueError: unknown name.
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"augment must be one of {', '.join(AUGMENTATIONS)}, got {name!r}")
    if name == "none":
        return Augmentation(0, False)
    flip = name == "crop_flip" or (name == "auto" and mirrors_keep_class(images, labels))
    return Augmentation(max(1, min(images.shape[2:]) // 8), flip)


def mirrors_keep_class(images: Tensor, labels: Tensor, *, most: int = 2000) -> bool:
    """Whether mirrored images are about as near to their own class as the images themselves.

    Up to `most` images, always the same, are classified by their nearest neighbour
    among the others, as they are and mirrored. Mirroring is harmless if at least 85 %
    of what is right above chance stays right: it is nearly all for animals, vehicles
    and shirts, half at most for letters, digits and shoes.

    Args:
        images: uint8; shape (n, c, h, w).
        labels: int64; shape (n,).
    """
    shuffled = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    picked = shuffled[:most]
    classes = labels[picked]
    size = min(16, *images.shape[2:])
    small = functional.adaptive_avg_pool2d(images[picked].float(), size)
    small -= small.mean(dim=(1, 2, 3), keepdim=True)
    right = []
    for asked in (small, small.flip(3)):
        distance = torch.cdist(asked.flatten(1), small.flatten(1)).fill_diagonal_(torch.inf)
        right.append(float((classes[distance.argmin(1)] == classes).float().mean()))
    shares = torch.bincount(classes).float() / len(classes)
    chance = float(shares.square().sum())
    return right[0] > chance and right[1] - chance >= 0.85 * (right[0] - chance)
