"""What curves of a new task look like before it is seen: learned from other tasks.

Every source task is a surface over architectures and positions of the curve, smoothed
by a Gaussian process over the encoded architecture. A new task is taken for a random
combination of these surfaces plus, for every run, a deviation of its own that is
correlated along the curve. Both are Gaussian, so what is seen of the new task, also
curves that were stopped early, updates the combination in closed form
(`metanas.rankers.searches`).

Why not one network for all: tasks order architectures differently, and 24 surfaces
weighted by what the new task shows adapt after a handful of runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from metanas.rankers.curve_table import CurveTable, Floats

MOST_ARCHITECTURES = 300
"""A task's surface rests on at most so many runs."""

INFLATION = 1.5
"""A new task differs more from the sources than these among each other."""


@dataclass(frozen=True)
class Smoothness:
    """How fast surfaces change.

    Attributes:
        lengths: over which each number of the encoding matters, shape (numbers,).
        noise: variance of a run around its surface, as a share of the surface's.
    """

    lengths: Floats
    noise: float

    @classmethod
    def of(cls, tables: Sequence[CurveTable]) -> Smoothness:
        """By maximum likelihood on the final values of up to four tasks."""
        found = []
        numbers = tables[0].codes.shape[1]
        for index in np.unique(np.linspace(0, len(tables) - 1, 4).astype(int)):
            table = tables[index]
            codes, final = table.codes[:MOST_ARCHITECTURES], table.final[:MOST_ARCHITECTURES]
            if len(final) < 8 or final.std() <= 0:
                continue
            one_each = len(final) >= 10 * numbers
            start = np.full(numbers, 1.0) if one_each else np.sqrt(numbers)
            kernel = ConstantKernel(1.0) * Matern(start, (0.1, 30.0), nu=2.5)
            kernel += WhiteKernel(0.1, (1e-3, 1.0))
            process = GaussianProcessRegressor(kernel, normalize_y=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                process.fit(codes, final)
            fitted = process.kernel_
            length = np.broadcast_to(fitted.k1.k2.length_scale, (numbers,))
            noise = fitted.k2.noise_level / max(fitted.k1.k1.constant_value, 1e-6)
            found.append((np.log(length), np.log(np.clip(noise, 1e-3, 1.0))))
        if not found:
            return cls(np.full(numbers, np.sqrt(numbers)), 0.1)
        lengths, noises = zip(*found, strict=True)
        return cls(np.exp(np.mean(lengths, axis=0)), float(np.exp(np.mean(noises))))

    def kernel(self, one: Floats, other: Floats) -> Floats:
        """Matérn 5/2; shapes (n, numbers) and (m, numbers) to (n, m)."""
        a, b = one / self.lengths, other / self.lengths
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * a @ b.T
        r = np.sqrt(5.0 * np.maximum(squared, 0.0))
        return np.asarray((1.0 + r + r * r / 3.0) * np.exp(-r))


class Surface:
    """One source task's smoothed curves."""

    def __init__(self, table: CurveTable, smoothness: Smoothness) -> None:
        codes = table.codes[:MOST_ARCHITECTURES]
        curves = table.curves[:MOST_ARCHITECTURES]
        self._codes, self._smoothness = codes, smoothness
        self._mean = curves.mean(axis=0)
        kernel = smoothness.kernel(codes, codes) + smoothness.noise * np.eye(len(codes))
        self._inverse = np.linalg.inv(kernel)
        self._weights = self._inverse @ (curves - self._mean)
        self._curves = curves

    def at(self, codes: Floats) -> Floats:
        """Shape (n, positions)."""
        kernel = self._smoothness.kernel(codes, self._codes)
        return np.asarray(kernel @ self._weights + self._mean)

    def unseen(self, codes: Floats) -> Floats:
        """As `at`, but its own architectures are predicted from the others."""
        found = self.at(codes)
        own = {code.tobytes(): index for index, code in enumerate(self._codes)}
        rows = [index for index, code in enumerate(codes) if code.tobytes() in own]
        if rows:
            mine = [own[codes[row].tobytes()] for row in rows]
            deviation = self._weights[mine] / np.diag(self._inverse)[mine, None]
            found[rows] = self._curves[mine] - deviation
        return found


class Basis:
    """The few directions in which tasks' surfaces differ, and how far tasks lie along them.

    Args:
        surfaces: of the sources at the same architectures, (sources, n, positions).
        factors: directions kept at most.
    """

    def __init__(self, surfaces: Floats, factors: int) -> None:
        sources, points = len(surfaces), surfaces[0].size
        flat = surfaces.reshape(sources, points)
        left, sizes, _ = np.linalg.svd(flat, full_matrices=False)
        keep = min(factors, int((sizes > 1e-9 * sizes[0]).sum()))
        self._turn = left[:, :keep] / sizes[:keep] * np.sqrt(points)  # (sources, keep)
        places = (left * sizes)[:, :keep] / np.sqrt(points)
        self.mean = places.mean(axis=0)  # (keep,)
        spread = np.cov(places.T, ddof=1).reshape(keep, keep) if sources > 1 else np.zeros((1, 1))
        # Few sources say little about how tasks spread: then their size stands in.
        size = np.outer(self.mean, self.mean) + 0.1 * np.diag((places**2).mean(axis=0))
        self.cov = INFLATION * spread + size / (1.0 + sources) + 1e-9 * np.eye(keep)

    def __call__(self, surfaces: Floats) -> Floats:
        """(sources, n, positions) to (n, positions, factors)."""
        return np.asarray(np.einsum("snp,sk->npk", surfaces, self._turn, optimize=True))

    def padded(self, rows: Floats, factors: int) -> tuple[Floats, Floats, Floats]:
        """Rows, mean and covariance with idle directions up to `factors`."""
        missing = factors - len(self.mean)
        if missing == 0:
            return rows, self.mean, self.cov
        cov = np.eye(factors)
        cov[: len(self.mean), : len(self.mean)] = self.cov
        wide = np.pad(rows, ((0, 0), (0, 0), (0, missing)))
        return wide, np.pad(self.mean, (0, missing)), cov


def fitted_places(rows: Floats, curves: Floats, basis: Basis) -> Floats:
    """Where a whole task lies along the directions; rows (n, positions, factors)."""
    flat = rows.reshape(-1, rows.shape[2])
    noise = max(0.05 * float(curves.var()), 1e-12) * curves.shape[1] / 4.0
    inverse = np.linalg.inv(basis.cov)
    precision = flat.T @ flat / noise + inverse
    return np.asarray(
        np.linalg.solve(precision, flat.T @ curves.ravel() / noise + inverse @ basis.mean)
    )


def deviation_factor(deviations: Sequence[Floats]) -> Floats:
    """Lower Cholesky factor of runs' deviations along the curve; (positions, positions).

    Args:
        deviations: of each source's runs from its combination, (n, positions). Sources
            count alike, however noisy they are.
    """
    covariances = np.stack([each.T @ each / len(each) for each in deviations])
    sizes = np.maximum(np.trace(covariances, axis1=1, axis2=2), 1e-12)
    typical = np.exp(np.log(sizes).mean())
    mean = (covariances * (typical / sizes)[:, None, None]).mean(axis=0)
    shrunk = mean + np.diag(np.full(len(mean), 2e-4 * np.trace(mean) / len(mean)))
    return np.asarray(np.linalg.cholesky(shrunk))


def whitened(factor: Floats, rows: NDArray[np.float64]) -> Floats:
    """Rows (n, positions, k) with the deviations along the curve made independent."""
    n, positions, k = rows.shape
    flat = rows.transpose(1, 0, 2).reshape(positions, n * k)
    solved = solve_triangular(factor, flat, lower=True, check_finite=False)
    return np.ascontiguousarray(solved.reshape(positions, n, k).transpose(1, 0, 2))
