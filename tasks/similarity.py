"""How alike two tasks are, from their DCN and features, and which are nearest.

The distance is the root mean square of the measurements' differences, each in units of
its scale, over the measurements both tasks have. Scales are typical spreads between
image tasks; `nearest` draws them towards the spreads among the tasks at hand, the more
the more there are. Tasks with nothing in common to compare are as far apart as two
drawn at random, so among such tasks all weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metadata_store.records import Task

DCN = "dcn"
SCALES: dict[str, float] = {
    DCN: 0.2,
    "log_train": 1.5,
    "log_train_per_class": 1.5,
    "log_classes": 1.0,
    "channels": 1.0,
    "log_pixels": 1.0,
    "imbalance_entropy": 0.1,
    "intensity_mean": 0.2,
    "intensity_std": 0.1,
    "edge_energy": 0.06,
    "colour": 0.05,
    "log_dimensions": 0.8,
    "nearest_centroid_above_chance": 0.25,
    "one_nn_above_chance": 0.25,
    "logistic_above_chance": 0.25,
}
"""Typical spread between tasks of each measurement that counts."""

WEIGHTS: dict[str, float] = {DCN: 4.0, "log_classes": 2.0, "channels": 2.0, "log_train": 2.0}
"""How much a measurement counts; 1 for the others."""

UNRELATED = math.sqrt(2.0)
"""Root mean square difference of two independent draws of spread one."""

PRIOR_TASKS = 8
"""Tasks that `SCALES` stand for against those at hand."""


@dataclass(frozen=True)
class Neighbour:
    """A task to learn from.

    Attributes:
        task: its name.
        distance: at least 0.
        weight: how much it counts; those of all neighbours sum to 1.
    """

    task: str
    distance: float
    weight: float


def distance(a: Task, b: Task, *, scales: Mapping[str, float] = SCALES) -> float:
    """How unlike two tasks are: 0 for the same measurements, `UNRELATED` where none compare.

    Args:
        scales: the spread of each measurement to compare.
    """
    if a == b:
        return 0.0
    ours, theirs = _measurements(a), _measurements(b)
    total = weight = 0.0
    for name, scale in scales.items():
        if name in ours and name in theirs:
            counts = WEIGHTS.get(name, 1.0)
            total += counts * ((ours[name] - theirs[name]) / scale) ** 2
            weight += counts
    return math.sqrt(total / weight) if weight else UNRELATED


def nearest(task: Task, others: Sequence[Task], k: int) -> list[Neighbour]:
    """The k nearest of the others, nearest first; equally near ones in the order given.

    Weights fall as exp(-distance²/s), where s is the median squared distance of those
    chosen, but no less than a quarter: far from everything, none may decide alone.

    Raises:
        ValueError: k is less than 1.
    """
    if k < 1:
        raise ValueError(f"need at least one neighbour, got k={k}")
    scales = _scales([task, *others])
    known = [
        distance(task, other, scales=scales) if _comparable(task, other) else None
        for other in others
    ]
    # What cannot be compared is not to count for more than what can.
    farthest = max([UNRELATED, *(far for far in known if far is not None)])
    found = [
        (farthest if far is None else far, other.name)
        for far, other in zip(known, others, strict=True)
    ]
    found = sorted(found, key=lambda pair: pair[0])[:k]
    if not found:
        return []
    squared = np.array([far for far, _ in found]) ** 2
    weights = np.exp(-(squared - squared.min()) / max(float(np.median(squared)), 0.25))
    weights /= weights.sum()
    return [
        Neighbour(name, far, float(weight))
        for (far, name), weight in zip(found, weights, strict=True)
    ]


def _comparable(a: Task, b: Task) -> bool:
    return a == b or not SCALES.keys().isdisjoint(_measurements(a).keys() & _measurements(b).keys())


def _measurements(task: Task) -> dict[str, float]:
    found = {name: value for name, value in task.features.items() if math.isfinite(value)}
    if task.dcn is not None:
        found[DCN] = task.dcn
    return found


def _scales(tasks: Sequence[Task]) -> dict[str, float]:
    measured = [_measurements(task) for task in tasks]
    scales = {}
    for name, typical in SCALES.items():
        values = np.array([each[name] for each in measured if name in each])
        spread = float(values.var()) if len(values) else 0.0
        mixed = (len(values) * spread + PRIOR_TASKS * typical**2) / (len(values) + PRIOR_TASKS)
        scales[name] = math.sqrt(mixed)
    return scales
