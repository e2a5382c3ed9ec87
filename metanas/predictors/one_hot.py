"""What regressors on one-hot choices have in common: rows in, normal scores out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Architecture, Trial
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import SearchSpace


def one_hot(space: SearchSpace, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
    """The rows of `SearchSpace.encode` side by side, shape (n, layers * features)."""
    encoded = space.encode_all(architectures)
    return encoded.reshape(len(encoded), -1)


def training_set(
    trials: Sequence[Trial], space: SearchSpace
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """One row for each task and architecture: the one-hot choices and the normal score."""
    sources = SourceScores.of(trials, space)
    scores = sources.normal
    _, columns = np.nonzero(np.isfinite(scores))
    return one_hot(space, sources.architectures)[columns], scores[np.isfinite(scores)]
