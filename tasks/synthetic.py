"""Generated images: tasks of known difficulty, the same for the same options.

Patterns: ``gratings`` (a class is a direction of stripes; local structure decides) and
``blobs`` (a class is where a spot lies; position decides). `difficulty` in [0, 1]
mixes in pixel noise, from none to nothing but noise; with `imbalance` in [0, 1) each
class has that much fewer images than the one before.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.cache import digest
from tasks.options import Options, nearest
from tasks.source import ArraySource, Loader

VERSION = "2"
DEFAULT_SIZE = 16

Reals = NDArray[np.float64]


def open_synthetic(location: str, options: Options, cache: Path) -> ArraySource:
    """Draws the images.

    Raises:
        ValueError: an unknown pattern, or too few images for the classes.
    """
    if location not in PATTERNS:
        raise ValueError(f"no pattern {location!r}{nearest(location, PATTERNS)}")
    n = options.integer("n", 200) or 0
    ways = options.integer("ways", 4, least=2) or 0
    channels = options.integer("channels", 1) or 0
    difficulty = options.share("difficulty", 0.3)
    imbalance = options.share("imbalance", 0.0)
    size = options.size or DEFAULT_SIZE
    if imbalance == 1.0:
        raise ValueError(f"imbalance must lie in [0, 1), got {imbalance}")
    if n < 2 * ways:
        raise ValueError(f"need two images of each of {ways} classes, got n={n}")
    rng = np.random.default_rng([options.seed, 2])
    labels = rng.permutation(np.repeat(np.arange(ways), _counts(n, ways, imbalance)))
    clean = PATTERNS[location](labels, ways, size, rng)  # (n, size, size) in [0, 1]
    tint = rng.uniform(0.6, 1.0, (len(labels), channels, 1, 1))
    noise = rng.uniform(0.0, 1.0, (len(labels), channels, size, size))
    mixed = (1.0 - difficulty) * clean[:, None] * tint + difficulty * noise
    images = np.rint(255.0 * mixed).astype(np.uint8)
    return ArraySource(tuple(str(k) for k in range(ways)), {"train": labels}, {"train": images})


def stamp(location: str, options: Options) -> str:
    """Changes with the way images are drawn."""
    return digest(VERSION, json.dumps(sorted(options.own.items())))


LOADER = Loader(
    open_synthetic,
    stamp,
    own=("n", "ways", "channels", "difficulty", "imbalance"),
    is_path=False,
)


def _counts(n: int, ways: int, imbalance: float) -> NDArray[np.int64]:
    """Images of each class, n in all, two of each at least; shape (ways,)."""
    weights = (1.0 - imbalance) ** np.arange(ways)
    shares = np.maximum(np.floor(n * weights / weights.sum()), 2)
    counts: NDArray[np.int64] = shares.astype(np.int64)
    counts[0] += max(n - int(counts.sum()), 0)
    # What the last classes were lifted to two by, the largest give back, of equal ones the last.
    while counts.sum() > n:
        counts[np.flatnonzero(counts == counts.max())[-1]] -= 1
    return counts


def gratings(labels: NDArray[np.int64], ways: int, size: int, rng: np.random.Generator) -> Reals:
    """Stripes of a direction for each class, at a random phase; shape (n, size, size)."""
    angle = (labels * np.pi / ways)[:, None, None]
    phase = rng.uniform(0.0, 2.0 * np.pi, (len(labels), 1, 1))
    y, x = np.mgrid[0:size, 0:size] * (2.0 * np.pi / 5.0)
    return np.asarray(0.5 + 0.5 * np.sin(np.cos(angle) * x + np.sin(angle) * y + phase))


def blobs(labels: NDArray[np.int64], ways: int, size: int, rng: np.random.Generator) -> Reals:
    """A spot on a ring at a place for each class; shape (n, size, size)."""
    angle = (labels * 2.0 * np.pi / ways)[:, None, None]
    jitter = rng.normal(0.0, 0.04, (2, len(labels), 1, 1))
    y, x = np.mgrid[0:size, 0:size] / max(size - 1, 1)
    distance = (x - 0.5 - 0.3 * np.cos(angle) - jitter[0]) ** 2
    distance = distance + (y - 0.5 - 0.3 * np.sin(angle) - jitter[1]) ** 2
    return np.asarray(np.exp(-distance / (2.0 * 0.08**2)))


PATTERNS = {"gratings": gratings, "blobs": blobs}
