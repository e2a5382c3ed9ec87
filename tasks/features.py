"""Cheap measurements of a task: how large, how uneven, what the pixels are like.

Besides sizes and pixel statistics there are landmarks: accuracies of simple
classifiers on images averaged down to 8x8. Each also comes as the share of the way
from always guessing the largest class to being always right, which compares across
numbers of classes. All are finite; seconds for any task, since at most 2,000 training
and 1,000 validation images are looked at.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tasks.load import Split, TaskData
from tasks.one_thread import one_thread
from tasks.split import subset

MOST_TRAIN, MOST_VAL = 2_000, 1_000
POOLED = 8


def measure(data: TaskData, *, seed: int = 0) -> dict[str, float]:
    """Features by name; the same for the same data and seed."""
    with one_thread():
        train, val = _sample(data.train, MOST_TRAIN, seed), _sample(data.val, MOST_VAL, seed)
        landmarks = _landmarks(
            torch.cat([_pooled(images) for images in data.train.reals(train)]),
            data.train.labels[train],
            torch.cat([_pooled(images) for images in data.val.reals(val)]),
            data.val.labels[val],
            len(data.classes),
        )
        return {**_sizes(data), **_pixels(data.train, train), **landmarks}


def above_chance(accuracy: float, labels: Tensor) -> float:
    """0 for always guessing the largest class of `labels`, 1 for being always right."""
    chance = float(labels.bincount().max()) / len(labels)
    return (accuracy - chance) / (1.0 - chance) if chance < 1.0 else 0.0


def _sample(part: Split, most: int, seed: int) -> Tensor:
    """Rows of the part, shape (n,)."""
    rng = np.random.default_rng([seed, 4])
    return torch.from_numpy(subset(part.labels.numpy(), most, least=1, rng=rng))


def _sizes(data: TaskData) -> dict[str, float]:
    channels, height, width = data.shape
    n_classes = len(data.classes)
    counts = torch.cat([data.train.labels, data.val.labels]).bincount(minlength=n_classes).double()
    shares = counts / counts.sum()
    entropy = float(-(shares * shares.log()).sum()) / math.log(n_classes)
    return {
        "log_train": math.log(len(data.train)),
        "log_train_per_class": math.log(len(data.train) / n_classes),
        "log_classes": math.log(n_classes),
        "channels": float(channels),
        "log_pixels": math.log(height * width),
        # 1 where all classes are equally frequent.
        "imbalance_entropy": min(max(entropy, 0.0), 1.0),
        "smallest_class": float(shares.min()) * n_classes,
        "skipped": float(data.skipped),
    }


def _pixels(part: Split, rows: Tensor) -> dict[str, float]:
    each = torch.cat([_of_each(images) for images in part.reals(rows)])  # (n, measurements)
    means, variances, thirds, edges, colour = each.unbind(dim=1)
    # The moments of all pixels from those of each image, and of their means around the whole's.
    apart = means - means.mean()
    n = len(rows) * math.prod(part.images.shape[2:])
    std = math.sqrt(float((variances + apart**2).mean()) * n / (n - 1))
    third = float((thirds + 3.0 * apart * variances + apart**3).mean())
    return {
        "intensity_mean": float(means.mean()),
        "intensity_std": std,
        "intensity_skew": third / std**3 if std > 1e-6 else 0.0,
        "edge_energy": float(edges.mean()),
        "colour": float(colour.mean()),
        "image_contrast": float(variances.sqrt().mean()),
    }


def _of_each(images: Tensor) -> Tensor:
    """Mean, variance and third central moment of the grey pixels, edges and colour of images.

    Returns:
        Shape (n, 5), float64.
    """
    grey = images.mean(dim=1).double()  # (n, height, width)
    means = grey.mean(dim=(1, 2))
    centred = grey - means[:, None, None]
    edges = [grey.diff(dim=axis).abs().mean(dim=(1, 2)) for axis in (1, 2) if grey.shape[axis] > 1]
    return torch.stack(
        [
            means,
            (centred**2).mean(dim=(1, 2)),
            (centred**3).mean(dim=(1, 2)),
            torch.stack(edges).mean(dim=0) if edges else torch.zeros_like(means),
            images.std(dim=1, unbiased=False).double().mean(dim=(1, 2)),
        ],
        dim=1,
    )


def _landmarks(
    train: Tensor, train_labels: Tensor, val: Tensor, val_labels: Tensor, n_classes: int
) -> dict[str, float]:
    mean, std = train.mean(dim=0), train.std(dim=0).clamp_min(1e-3)
    train, val = (train - mean) / std, (val - mean) / std
    scores = {
        "nearest_centroid": _nearest_centroid(train, train_labels, val, n_classes),
        "one_nn": train_labels[torch.cdist(val, train).argmin(dim=1)],
        "logistic": _logistic(train, train_labels, val, n_classes),
    }
    features = {"log_dimensions": _log_dimensions(train)}
    for name, guesses in scores.items():
        accuracy = float((guesses == val_labels).double().mean())
        features[name] = accuracy
        features[f"{name}_above_chance"] = above_chance(accuracy, val_labels)
    return features


def _pooled(images: Tensor) -> Tensor:
    """Shape (n, pixels)."""
    size = min(images.shape[2], POOLED), min(images.shape[3], POOLED)
    return functional.adaptive_avg_pool2d(images, size).flatten(1)


def _nearest_centroid(train: Tensor, labels: Tensor, val: Tensor, n_classes: int) -> Tensor:
    members = functional.one_hot(labels, n_classes).float()  # (n, classes)
    centroids = members.T @ train / members.sum(dim=0)[:, None]
    return torch.cdist(val, centroids).argmin(dim=1)


def _logistic(train: Tensor, labels: Tensor, val: Tensor, n_classes: int) -> Tensor:
    """Multinomial logistic regression with a small penalty, by a fixed number of steps."""
    weights = torch.zeros(train.shape[1] + 1, n_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")
    train, val = functional.pad(train, (0, 1), value=1.0), functional.pad(val, (0, 1), value=1.0)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(train @ weights, labels) + 1e-3 * (weights**2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return (val @ weights.detach()).argmax(dim=1)


def _log_dimensions(pooled: Tensor) -> float:
    """Logarithm of the participation ratio of the principal components' variances."""
    variances = torch.linalg.eigvalsh(torch.cov(pooled.T.double()).reshape(pooled.shape[1], -1))
    squares = float((variances**2).sum())
    return math.log(float(variances.sum()) ** 2 / squares) if squares > 1e-12 else 0.0
