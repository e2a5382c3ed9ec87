"""Classes as the mean features of their images.

[Prototypes] Snell, Swersky and Zemel. Prototypical Networks for Few-Shot Learning.
NeurIPS 2017.
"""

from __future__ import annotations

from torch import Tensor


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
