"""Where a learning curve ends, extrapolated from itself alone.

[Domhan] Domhan, Springenberg and Hutter. Speeding up automatic hyperparameter optimization
of deep neural networks by extrapolation of learning curves. IJCAI 2015.

A family of curves is a + b g(x; c), x the position: linear but for its shape c. With c and
the noise on a grid, each member has a Gaussian posterior and an evidence in closed form,
so that the mixture over families, shapes and noise is exact where the paper samples it.
Families kept: power law, exponential, logarithm of a power, and Weibull, which the paper's
own comparison and later work found to carry most of the weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from metanas.rankers.curve_table import Floats

SHAPES = np.exp(np.linspace(np.log(0.1), np.log(3.0), 8))
NOISES = np.array([0.001, 0.003, 0.01, 0.03, 0.1])
"""Standard deviations, as shares of the unit."""

PRECISION = 0.25
"""Of the prior of a and b, in the unit."""


@dataclass(frozen=True)
class Unit:
    """What curves are measured in.

    Attributes:
        low: where they begin. size: how far good ones come.
    """

    low: float
    size: float

    @classmethod
    def of(cls, curves: Sequence[Floats]) -> Unit:
        """From whole curves, (points,) each; NaN does not count.

        Where curves begin is where most do: some may have diverged, and what these fall to
        must not drown the scale on which good runs differ.
        """
        firsts = [finite[0] for curve in curves if len(finite := curve[np.isfinite(curve)])]
        if not firsts:
            raise ValueError("need a finite value to tell the unit of curves")
        values = np.concatenate(curves)
        values = values[np.isfinite(values)]
        low = float(np.median(firsts))
        size = float(np.quantile(values, 0.999)) - low
        # Where no run has got anywhere, whatever they differ by.
        return cls(low, size if size > 0.0 else max(float(values.std()), 1e-9))

    def __call__(self, values: Floats) -> Floats:
        """Any shape; what diverged lies one unit below where curves begin."""
        lifted = np.where(np.isfinite(values), values, self.low - self.size)
        return np.asarray(np.maximum((lifted - self.low) / self.size, -1.0), np.float64)


@dataclass(frozen=True)
class Forecast:
    """The final value, as a mixture of normal distributions.

    Attributes:
        weights, means, stds: each (prefixes, members).
    """

    weights: Floats
    means: Floats
    stds: Floats

    @property
    def mean(self) -> Floats:
        """Shape (prefixes,)."""
        return np.asarray((self.weights * self.means).sum(axis=1))

    @property
    def std(self) -> Floats:
        """Shape (prefixes,)."""
        spread = self.stds**2 + (self.means - self.mean[:, None]) ** 2
        return np.asarray(np.sqrt((self.weights * spread).sum(axis=1)))

    def above(self, value: float, widened: float = 1.0) -> Floats:
        """The chance to end above a value, (prefixes,).

        Args:
            widened: standard deviations are taken so many times as large.
        """
        chance = ndtr((self.means - value) / (widened * self.stds))
        return np.asarray((self.weights * chance).sum(axis=1))


def extrapolated(x: Floats, y: Floats, end: float, *, prefixes: bool = False) -> Forecast:
    """Forecasts a curve's value at `end`.

    Args:
        x: positions, positive and increasing, at most `end`; (n,), n at least 1.
        y: values in a `Unit`, finite; (n,).
        prefixes: one forecast for each prefix, after 1 to n points, instead of one in all.
    """
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"need as many values as positions, got {len(y)} and {len(x)}")
    members = shapes_at(np.append(x, end), end).reshape(-1, len(x) + 1)
    seen, last = members[:, :-1], members[:, -1][None, :, None]
    terms = [np.ones(len(x)), y, y * y, seen.T, seen.T**2, seen.T * y[:, None]]
    n, sum_y, sum_yy, sum_m, sum_mm, sum_my = (
        np.cumsum(term, axis=0) if prefixes else term.sum(axis=0)[None] for term in terms
    )
    n, sum_y, sum_yy = (each[:, None, None] for each in (n, sum_y, sum_yy))
    sum_m, sum_mm, sum_my = (each[:, :, None] for each in (sum_m, sum_mm, sum_my))
    # The posterior of (a, b) for each member and noise: precision, then its mean.
    variance = NOISES**2
    p_aa, p_ab, p_bb = n / variance + PRECISION, sum_m / variance, sum_mm / variance + PRECISION
    determinant = p_aa * p_bb - p_ab**2
    r_a, r_b = sum_y / variance, sum_my / variance
    a, b = (p_bb * r_a - p_ab * r_b) / determinant, (p_aa * r_b - p_ab * r_a) / determinant
    means = a + b * last
    spread = (p_bb - 2.0 * last * p_ab + last**2 * p_aa) / determinant + variance
    evidence = (
        a * r_a + b * r_b - sum_yy / variance - np.log(determinant) - n * np.log(variance)
    ) / 2.0
    weights = np.exp(evidence - evidence.max(axis=(1, 2), keepdims=True))
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    flat = (len(weights), -1)
    return Forecast(weights.reshape(flat), means.reshape(flat), np.sqrt(spread).reshape(flat))


def shapes_at(x: Floats, end: float) -> Floats:
    """Each family's members, 0 at position 1 and 1 at the end; (families, shapes, n)."""
    places = np.asarray([*x, 1.0, end], np.float64)
    c = SHAPES[:, None]
    found = np.stack(
        [
            places**-c,
            np.exp(-c * places / 3.0),
            np.log(np.e - 1.0 + places) ** (-2.0 * c),
            np.exp(-c * np.sqrt(places)),
        ]
    )
    low, high = found[:, :, -2:-1], found[:, :, -1:]
    # A curve of one point has no shape.
    way = np.where(high == low, 1.0, high - low)
    return np.asarray(((found - low) / way)[:, :, :-2])
