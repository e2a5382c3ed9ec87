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
Under each hypothesis a mean is linear in the kernel's values and the heads, and a variance
a quadratic form of them. So their averages over many hypotheses cost as much as one.
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

KERNELS, LEAST_SHARE = 4, 0.05
"""A prediction mixes at most so many kernels, of at least this share of the best one's."""

MIXED = 128
"""Of each kernel so many hypotheses count, the best ones."""


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


@dataclass(frozen=True)
class _Mixture:
    """The average over hypotheses with one kernel.

    With z the q + n numbers 1, heads and kernel values of an architecture, its mean is
    ``z @ mean`` and its variance ``z @ form @ z + constant``.

    Attributes:
        metric, length: the kernel.
        share: of all kernels mixed.
        noise: the variance is at least that.
    """

    metric: int
    length: float
    share: float
    mean: Wide
    form: Wide
    constant: float
    noise: float

    def predict(self, heads: Wide, apart: Wide) -> tuple[Floats, Floats]:
        """Means and variances, shape (N,) each."""
        near = _narrow(matern(apart, self.length))
        z = np.concatenate([np.ones((len(heads), 1), np.float32), heads, near], axis=1)
        variance = np.einsum("ij,ij->i", z @ self.form, z).astype(np.float64) + self.constant
        return (z @ self.mean).astype(np.float64), np.maximum(variance, self.noise)


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
        of_kernel = self.shares.sum(axis=1)
        kept = np.argsort(-of_kernel, kind="stable")[:KERNELS]
        kept = kept[of_kernel[kept] >= LEAST_SHARE * of_kernel[kept[0]]]
        every = kernels(len(seen.apart))
        self._mixtures = [
            _mix(hypotheses, solved[place], self.shares[place], every[place], share)
            for place, share in zip(kept, of_kernel[kept] / of_kernel[kept].sum(), strict=True)
        ]

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
        mean, square = np.zeros(len(heads)), np.zeros(len(heads))
        for mixture in self._mixtures:
            means, variances = mixture.predict(heads, apart[mixture.metric])
            mean += mixture.share * means
            square += mixture.share * (variances + means**2)
        return mean + self._center, np.maximum(square - mean**2, 1e-18)


def _mix(
    h: Hypotheses, solved: _Solved, shares: Floats, kernel: tuple[int, float], share: float
) -> _Mixture:
    """The average of the best hypotheses with one kernel, by their shares, shape (G,)."""
    rows = np.argsort(-shares, kind="stable")[:MIXED]
    chance = shares[rows] / shares[rows].sum()
    variance = h.scale[rows] ** 2 * h.residual[rows]  # (k,)
    gain = variance[:, None] / solved.variance[rows]  # (k, n)
    rest = solved.rest[rows] - solved.shift[rows] @ solved.design.T
    weights = solved.prior_mean[rows] + solved.shift[rows]
    each = np.concatenate([weights, (gain * rest) @ solved.vectors.T], axis=1)  # (k, q + n)
    mean = chance @ each
    apart = each - mean
    form = (apart * chance[:, None]).T @ apart
    covariance = np.linalg.inv(solved.precision[rows])  # of b and w, (k, q, q)
    q = solved.design.shape[1]
    # What is open of b and w after the residual explains its share of them.
    left = -solved.vectors @ (gain[:, :, None] * solved.design)  # (k, n, q)
    open_ = np.concatenate([np.broadcast_to(np.eye(q), (len(rows), q, q)), left], axis=1)
    spread = (open_ @ covariance) * chance[:, None, None]  # (k, q + n, q)
    form += np.tensordot(spread, open_, axes=((0, 2), (0, 2)))
    form[q:, q:] -= (solved.vectors * ((chance * variance) @ gain)) @ solved.vectors.T
    noise = float(chance @ (variance * h.noise[rows]))
    return _Mixture(
        *kernel,
        share=share,
        mean=_narrow(mean),
        form=_narrow(form),
        constant=float(chance @ variance) + noise,
        noise=noise,
    )


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
