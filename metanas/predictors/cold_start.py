"""A Gaussian process on a task's own trials alone: what XferNAS is without sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from metadata_store.records import Architecture, Task
from metanas.predictors.censored import posterior_given, without_outliers
from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.placed import Placed, Standard, typical_distance
from metanas.predictors.residual import Floats, Hypotheses, Posterior, kernels
from metanas.protocols import SearchSpace

MOST_REFERENCES = 500


class ColdStart:
    """Places architectures without sources, and learns from own trials.

    Args:
        reference: architectures of the space; their spread sets the descriptors' units.
    """

    def __init__(self, space: SearchSpace, reference: Sequence[Architecture]) -> None:
        self._space = space
        stride = max(1, len(reference) // MOST_REFERENCES)
        self._standard = Standard(space.describe_all(reference[::stride]))
        self._typical = np.float32(1.0)
        self._typical = np.float32(typical_distance(self.place(reference[::stride]).points[0]))

    def place(self, architectures: Sequence[Architecture]) -> Placed:
        """Without heads, and in one metric."""
        points = self._standard(self._space.describe_all(architectures)) / self._typical
        none = np.empty((len(points), 0), np.float32)
        return Placed(none, (points,), none)

    def expected(self, placed: Placed, task: Task) -> tuple[Floats, Floats]:
        """Without a trial all are alike."""
        return np.zeros(len(placed.heads)), np.ones(len(placed.heads))

    def posterior(self, seen: Placed, own: OwnTrials, task: Task) -> Posterior:
        """What the task's own trials say; at least one is needed."""
        # One diverged run must not set the scale on which the others differ.
        unit = float(np.std(without_outliers(own.scores))) or 1.0
        hypotheses = Hypotheses.grid(unit, transfer=False)
        log_prior = np.tile(hypotheses.log_prior(unit), (len(kernels(1)), 1))
        return posterior_given(hypotheses, log_prior - logsumexp(log_prior), own, seen, np.empty(0))
