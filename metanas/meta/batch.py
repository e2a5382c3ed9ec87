"""Episodes as networks see them: floats, brought to one contrast by what is known of each task.

Why by the support alone: a network meta-learned on dark strokes on white paper meets
light letters on black ones, and photographs. The support's mean and deviation make
their contrast alike, and a sign makes the rarer shade the lighter one. Each is one
number a channel and task, and so can be built into the network that is handed out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from metanas.networks.centring import Centring
from tasks.episodes import Episodes

VIEWS = (
    ((1.07, 0.0, 0.0), (0.14, 0.96, 0.0)),
    ((0.95, -0.02, 0.0), (-0.14, 1.07, 0.0)),
)
"""Maps of the plane, as `torch.nn.functional.affine_grid` takes them."""


@dataclass(frozen=True)
class Batch:
    """b tasks of n ways.

    Attributes:
        support: shape (b, n * k, c, h, w), class by class.
        support_labels: shape (b, n * k).
        query: shape (b, q, c, h, w), class by class.
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

    @property
    def shots(self) -> int:
        """Images of the support in a class."""
        return self.support.shape[1] // self.ways

    def centred(self) -> Batch:
        """With every image in the middle; see `metanas.networks.centring`."""
        return replace(self, support=_centred(self.support), query=_centred(self.query))

    def apart(self, ways: int) -> Batch:
        """Tasks of so many ways, each of some of the classes of one here.

        Classes that are left over are dropped; tasks of fewer than twice as many stay whole.
        """
        parts = self.ways // ways
        if parts < 2:
            return self

        def of(images: Tensor) -> Tensor:
            each = images.shape[1] // self.ways
            kept = images[:, : parts * ways * each]
            return kept.reshape(-1, ways * each, *images.shape[2:])

        support, query = of(self.support), of(self.query)
        labels = torch.arange(ways, device=support.device)
        return Batch(
            support,
            labels.repeat_interleave(support.shape[1] // ways).expand(len(support), -1),
            query,
            labels.repeat_interleave(query.shape[1] // ways).expand(len(query), -1),
            self.classes[:, : parts * ways].reshape(-1, ways),
        )


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
    """The support turned, sheared and stretched a little: what should be seen the same in.

    Args:
        support: shape (b, n, c, h, w).

    Returns:
        One more leading dimension of as many as there are `VIEWS`.
    """
    flat = support.flatten(0, 1)
    seen = []
    for view in VIEWS:
        plane = torch.tensor(view, device=flat.device, dtype=flat.dtype).expand(len(flat), -1, -1)
        grid = functional.affine_grid(plane, list(flat.shape), align_corners=False)
        warped = functional.grid_sample(flat, grid, padding_mode="border", align_corners=False)
        seen.append(warped.view_as(support))
    return torch.stack(seen)


def _centred(images: Tensor) -> Tensor:
    if not images.numel():
        return images
    centred: Tensor = Centring()(images.flatten(0, 1))
    return centred.view_as(images)


def _scaled(images: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    centred = images.float() / 255 - shift[:, None, :, None, None]
    return centred * factor[:, None, :, None, None]
