"""Scores drawn at random: what a predictor must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from metadata_store.records import Architecture, Task, Trial
from metanas.protocols import Prediction, SearchSpace


class RandomScores:
    """Implements `metanas.protocols.Predictor`; learns nothing.

    Args:
        seed: with the architecture it decides the score, so the same ones are drawn again.
    """

    def __init__(self, *, space: SearchSpace, seed: int = 0) -> None:
        self._space = space
        self._seed = seed

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        return self

    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        salt = np.random.default_rng(self._seed).integers(2**63, dtype=np.uint64)
        digests = np.array([int(a.key[:16], 16) for a in architectures], np.uint64)
        scores = _mixed(digests ^ salt) / 2.0**64
        return Prediction(scores, np.full(len(architectures), 12.0**-0.5))


def _mixed(
    bits: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """A change of one bit of the input changes half of the output's."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))
