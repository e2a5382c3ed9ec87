"""Posteriors from trials some of which were stopped: their best value is a lower bound.

A bound stands for the score that is expected above it, given what all scores and bounds
say when the bounds are taken for scores (one step of expectation maximisation).
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.placed import Placed
from metanas.predictors.residual import Floats, Hypotheses, Posterior, Seen


def posterior_given(
    hypotheses: Hypotheses, log_prior: Floats, own: OwnTrials, seen: Placed, weights: Floats
) -> Posterior:
    """What a task's own trials say.

    Args:
        log_prior: of each kernel and hypothesis, shape (kernels, G).
        seen: the architectures of ``own.measured``.
        weights: the trust in each source, shape (T,).
    """
    heads = seen.heads.astype(np.float64)
    apart = tuple(each.astype(np.float64) for each in seen.apart(seen))

    def with_scores(scores: Floats) -> Posterior:
        known = Seen(heads, apart, without_outliers(scores), weights)
        return Posterior(hypotheses, log_prior, known)

    posterior = with_scores(own.scores)
    if not own.bound.any():
        return posterior
    mean, variance = posterior.predict(seen.heads, seen.apart(seen))
    expected = above(own.scores, mean, np.sqrt(variance))
    return with_scores(np.where(own.bound, expected, own.scores))


def above(bound: Floats, mean: Floats, std: Floats) -> Floats:
    """Mean of a normal variable known to be at least `bound`."""
    standard = (bound - mean) / std
    log_ratio = -0.5 * standard**2 - 0.5 * np.log(2.0 * np.pi) - log_ndtr(-standard)
    expected: Floats = np.maximum(bound, mean + std * np.exp(log_ratio))
    return expected


def without_outliers(scores: Floats) -> Floats:
    """Scores far below the middle are drawn near: they say little of the top."""
    if len(scores) < 5:
        return scores
    middle = float(np.median(scores))
    above_it = float(np.quantile(scores, 0.9)) - middle
    return np.maximum(scores, middle - 3.0 * above_it) if above_it > 0 else scores
