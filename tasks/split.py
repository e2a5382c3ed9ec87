"""Stratified draws: every class in its share, the same for the same seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def subset(labels: Rows, n: int, *, least: int, rng: np.random.Generator) -> Rows:
    """Positions of n examples, each class in its share but with at least `least`.

    Args:
        labels: shape (examples,).
        n: how many; all are taken where there are no more.
        least: of each class; a class that has fewer is taken whole.

    Returns:
        Increasing positions, shape (n,), or more where `least` asks for it.
    """
    if n >= len(labels):
        return np.arange(len(labels))
    found, counts = np.unique(labels, return_counts=True)
    floor = np.minimum(counts, least)
    quota = np.maximum(counts * (n / len(labels)), floor)
    take = np.floor(quota).astype(np.int64)
    # Largest remainders first; a class never gives more than it has.
    order = np.argsort(take - quota, kind="stable")
    missing = n - int(take.sum())
    for code in order[: max(missing, 0)]:
        take[code] += 1
    # Floors lifted some shares: the largest classes give that back.
    while take.sum() > n and (take > floor).any():
        take[np.argmax(np.where(take > floor, take, -1))] -= 1
    return np.sort(np.concatenate(_draw(labels, found, take, rng)))


def split(labels: Rows, share: float, *, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Positions of two parts with every class in both.

    Args:
        labels: shape (examples,), of each class at least two.
        share: of the second part, in (0, 1).

    Returns:
        Increasing positions of the first and of the second part.

    Raises:
        ValueError: a class has only one example.
    """
    found, counts = np.unique(labels, return_counts=True)
    if len(counts) and counts.min() < 2:
        alone = found[int(np.argmin(counts))]
        raise ValueError(f"need two examples of each class to split, got one of class {alone}")
    take = np.clip(np.rint(counts * share).astype(np.int64), 1, counts - 1)
    second = np.sort(np.concatenate(_draw(labels, found, take, rng)))
    first = np.setdiff1d(np.arange(len(labels)), second, assume_unique=True)
    return first, second


def _draw(labels: Rows, found: Rows, take: Rows, rng: np.random.Generator) -> list[Rows]:
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.searchsorted(labels[order], found)[1:])
    return [
        rng.permutation(rows)[:count] for rows, count in zip(groups, take.tolist(), strict=True)
    ]
