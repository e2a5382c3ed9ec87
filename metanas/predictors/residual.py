"""A task's scores as a sum: what other tasks predict, weighed, and a residual of its own.

The score of an architecture x on the target is taken to be

    y(x) = b + sum_t w_t g_t(x) + r(x) + noise

where g_t is the prediction of source task t, r a Gaussian process over descriptors of x
that is zero without evidence, and b has a flat prior. The weights w have a normal prior
around the trust in the sources. Given a few numbers (a `Hypotheses` row and a kernel) all
is normal, and the evidence has a closed form. Nothing is optimised: every hypothesis on a
grid counts by its evidence, those under which the sources do not matter among them. This
is what lets misleading sources go.

With the kernel's eigenvectors one hypothesis costs O(n T^2) for n trials and T sources.
[Eigen] Rasmussen and Williams. Gaussian Processes for Machine Learning. 2006, ch. 2 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]
Wide = NDArray[np.float32]
"""One row for every candidate, of which there may be many."""

LENGTHS = (0.7, 1.5, 3.0)
"""Reach of a kernel, in typical distances of two architectures."""

SCALES = tuple(2.0**power for power in range(-3, 3))
RESIDUALS = (0.05, 0.2, 0.6, 1.0)
NOISES = (0.03, 0.1, 0.3, 1.0)
TRUSTS = (0.0, 0.5, 1.0)
FREEDOMS = (0.1, 0.3, 1.0)

FLAT = 10.0
"""Standard deviation of b, in scales."""

KEPT, LEAST_SHARE = 6, 0.1
"""A prediction mixes at most so many hypotheses, of at least this share of the best one's."""


@dataclass(frozen=True)
class Hypotheses:
    """G ways the target may relate to the sources; each field has shape (G,).

    Attributes:
        scale: of the target's scores for one standard deviation of a source's.
        residual: variance of r, in squared scales.
        noise: variance of the noise, in variances of r.
        trust: sum of the weights' prior means, in scales.
        freedom: standard deviation of the sum of the weights, in scales.
    """

    scale: Floats
    residual: Floats
    noise: Floats
    trust: Floats
    freedom: Floats

    @classmethod
    def grid(cls, unit: float, *, transfer: bool) -> Hypotheses:
        """All combinations; without transfer those that know no sources.

        Args:
            unit: a likely scale.
        """
        scales = [unit * factor for factor in SCALES]
        rows = (
            product(scales, RESIDUALS, NOISES, TRUSTS, FREEDOMS)
            if transfer
            else product(scales, (1.0,), NOISES, (0.0,), (0.0,))
        )
        return cls(*np.array(list(rows)).T)

    def log_prior(self, unit: float) -> Floats:
        """Scales are log-normal around the unit, by a factor of 2; shape (G,)."""
        out: Floats = -0.5 * np.log2(self.scale / unit) ** 2
        return out

    def __len__(self) -> int:
        return len(self.scale)


@dataclass(frozen=True)
class Seen:
    """What is known of n architectures.

    Attributes:
        heads: the T sources' predictions, shape (n, T).
        apart: squared distances in typical ones, one matrix (n, n) a metric.
        scores: shape (n,).
        weights: the trust in each source, summing to 1; shape (T,).
    """

    heads: Floats
    apart: tuple[Floats, ...]
    scores: Floats
    weights: Floats


@dataclass(frozen=True)
class _Solved:
    """Under one kernel, for all hypotheses at once; in the eigenvectors' coordinates.

    Attributes:
        vectors: eigenvectors, shape (n, n).
        design: 1 and the heads, shape (n, q).
        variance: of each coordinate, shape (G, n).
        rest: scores less what the prior means say, shape (G, n).
        precision: of b and w, shape (G, q, q).
        prior_mean, shift: of b and w, and what the scores add; shape (G, q).
        evidence: logarithms, shape (G,).
    """

    vectors: Floats
    design: Floats
    variance: Floats
    rest: Floats
    precision: Floats
    prior_mean: Floats
    shift: Floats
    evidence: Floats


def kernels(n_metrics: int) -> list[tuple[int, float]]:
    """Every metric with every length."""
    return list(product(range(n_metrics), LENGTHS))


def log_evidence(hypotheses: Hypotheses, seen: Seen) -> Floats:
    """Of each kernel and hypothesis; shape (kernels, G)."""
    return np.stack([s.evidence for s in _solve_all(hypotheses, seen)])


class Posterior:
    """Scores to be expected, given those seen.

    Args:
        log_prior: of each kernel and hypothesis, shape (kernels, G).
    """

    def __init__(self, hypotheses: Hypotheses, log_prior: Floats, seen: Seen) -> None:
        self._hypotheses = hypotheses
        self._center = float(np.median(seen.scores))
        solved = _solve_all(hypotheses, seen)
        log_shares = np.stack([s.evidence for s in solved]) + log_prior
        self.shares: Floats = np.exp(log_shares - logsumexp(log_shares))
        self._kernels = kernels(len(seen.apart))
        order = np.argsort(-self.shares, axis=None, kind="stable")[:KEPT]
        best = self.shares.ravel()[order]
        order, best = order[best >= LEAST_SHARE * best[0]], best[best >= LEAST_SHARE * best[0]]
        self._kept = [divmod(int(place), len(hypotheses)) for place in order]
        self._mixture: Floats = best / best.sum()
        self._solved = solved

    @property
    def trust(self) -> float:
        """Expected sum of the weights' prior means, in scales: 0 where the sources mislead."""
        return float((self.shares * self._hypotheses.trust).sum())

    def predict(self, heads: Wide, apart: Sequence[Wide]) -> tuple[Floats, Floats]:
        """Means and variances of N architectures, noise included; shape (N,) each.

        Args:
            heads: shape (N, T).
            apart: squared distances to the n seen ones, one matrix (N, n) a metric.
        """
        design = np.concatenate([np.ones((len(heads), 1), np.float32), heads], axis=1)
        mean, square = np.zeros(len(heads)), np.zeros(len(heads))
        for place in dict.fromkeys(place for place, _ in self._kept):
            metric, length = self._kernels[place]
            vectors = self._solved[place].vectors.astype(np.float32)
            turned = _narrow(matern(apart[metric], length)) @ vectors
            of_kernel = [i for i, (other, _) in enumerate(self._kept) if other == place]
            rows = [self._kept[i][1] for i in of_kernel]
            means, variances = self._predict_under(self._solved[place], rows, design, turned)
            shares = self._mixture[of_kernel]
            mean += means @ shares
            square += (variances + means**2) @ shares
        return mean + self._center, np.maximum(square - mean**2, 1e-18)

    def _predict_under(
        self, solved: _Solved, rows: Sequence[int], design: Wide, turned: Wide
    ) -> tuple[Floats, Floats]:
        """Under one kernel and k hypotheses, shape (N, k) each."""
        h = self._hypotheses
        variance = h.scale[rows] ** 2 * h.residual[rows]  # (k,)
        gain = variance[:, None] / solved.variance[rows]  # (k, n)
        rest = solved.rest[rows] - solved.shift[rows] @ solved.design.T
        weights = solved.prior_mean[rows] + solved.shift[rows]
        means = design @ _narrow(weights.T) + turned @ _narrow((gain * rest).T)
        spreads = np.empty((len(design), len(rows)))
        for column, row in enumerate(rows):
            open_ = design - turned @ _narrow(gain[column][:, None] * solved.design)
            covariance = _narrow(np.linalg.inv(solved.precision[row]))
            spreads[:, column] = np.einsum("ij,ij->i", open_ @ covariance, open_)
        known = np.square(turned, out=turned) @ _narrow(gain.T)
        spreads += variance * (1.0 - known)
        noise = variance * h.noise[rows]
        return means.astype(np.float64), np.maximum(spreads, 0.0) + noise


def matern(squared: NDArray[np.floating[Any]], length: float) -> NDArray[np.floating[Any]]:
    """Matérn kernel of smoothness 5/2 of squared distances, in their precision."""
    reach = np.sqrt(squared)
    reach *= 5.0**0.5 / length
    kernel = reach * reach
    kernel *= 1.0 / 3.0
    kernel += reach
    kernel += 1.0
    np.negative(reach, out=reach)
    kernel *= np.exp(reach, out=reach)
    out: NDArray[np.floating[Any]] = kernel
    return out


def _narrow(values: NDArray[np.floating[Any]]) -> Wide:
    return values.astype(np.float32, copy=False)


def _solve_all(hypotheses: Hypotheses, seen: Seen) -> list[_Solved]:
    return [
        _solve(hypotheses, matern(seen.apart[metric], length), seen)
        for metric, length in kernels(len(seen.apart))
    ]


def _solve(h: Hypotheses, kernel: NDArray[np.floating[Any]], seen: Seen) -> _Solved:
    values, vectors = np.linalg.eigh(kernel)
    design = vectors.T @ np.column_stack([np.ones(len(seen.scores)), seen.heads])
    scores = vectors.T @ (seen.scores - np.median(seen.scores))
    n, q = design.shape
    mean = np.zeros((len(h), q))
    mean[:, 1:] = (h.scale * h.trust)[:, None] * seen.weights
    prior = np.empty((len(h), q))
    prior[:, 0] = (FLAT * h.scale) ** 2
    prior[:, 1:] = ((h.scale * h.freedom) ** 2)[:, None] * seen.weights
    size = (h.scale**2 * h.residual)[:, None]
    variance = size * (np.maximum(values, 0.0) + h.noise[:, None])  # (G, n)
    inverse = 1.0 / variance
    rest = scores - mean @ design.T
    outer = (design[:, :, None] * design[:, None, :]).reshape(n, -1)
    precision = (inverse @ outer).reshape(-1, q, q)
    precision[:, np.arange(q), np.arange(q)] += 1.0 / prior
    pull = (rest * inverse) @ design
    shift = np.linalg.solve(precision, pull[..., None])[..., 0]
    diagonal = np.diagonal(np.linalg.cholesky(precision), axis1=1, axis2=2)
    evidence = (
        -0.5 * ((rest**2 * inverse).sum(axis=1) - (pull * shift).sum(axis=1))
        - 0.5 * np.log(variance).sum(axis=1)
        - 0.5 * np.log(prior).sum(axis=1)
        - np.log(diagonal).sum(axis=1)
    )
    return _Solved(vectors, design, variance, rest, precision, mean, shift, evidence)
