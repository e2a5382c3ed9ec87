"""Classes as the mean features of their images.

[Prototypes] Snell, Swersky and Zemel. Prototypical Networks for Few-Shot Learning.
NeurIPS 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def prototypes(features: Tensor, ways: int, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """The linear layer that compares squared distances to the classes' mean features.

    Args:
        features: of the support, class by class; shape (n * k, features).
        log_scale: distances are divided by the number of features and multiplied by its
            exponential.

    Returns:
        Weight (n, features) and bias (n,).
    """
    means = features.view(ways, -1, features.shape[1]).mean(1)
    scale = log_scale.exp() / features.shape[1]
    return 2 * scale * means, -scale * means.square().sum(1)


def left_out(features: Tensor, ways: int, versions: int, log_scale: Tensor) -> Tensor:
    """Logits of a support judged by itself: no image has a part in the mean of its class.

    Args:
        features: class by class, each image followed by its views: shape
            (ways * k * versions, features), of k > 1 images a class.
        versions: of each image, itself included.
        log_scale: see `prototypes`.

    Returns:
        Shape (ways * k * versions, ways).
    """
    each = features.view(ways, -1, versions, features.shape[1])
    shots = each.shape[1]
    own = each.mean(2)
    means = own.mean(1)
    others = (shots * means[:, None] - own) / (shots - 1)
    weight, bias = prototypes(features, ways, log_scale)
    to_means = functional.linear(each, weight, bias)  # (ways, k, versions, ways)
    scale = log_scale.exp() / features.shape[1]
    other = others[:, :, None]
    to_others = scale * ((2 * each - other) * other).sum(-1)
    is_own = functional.one_hot(torch.arange(ways, device=features.device), ways).bool()
    return torch.where(is_own[:, None, None], to_others[..., None], to_means).flatten(0, 2)
