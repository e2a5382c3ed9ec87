"""What the trials of other tasks teach about a new one, before it has trials of its own.

The universal predictor g_u of XferNAS and, beside it, what a residual on top of it needs:
where architectures lie (twice: by their descriptors, stretched by their relevance on the
sources, and by what the ensemble's trunks make of them, the same for all sources [ABLR])
and what residuals were like when each source in turn was predicted from the others. Where
sources disagree, that says beforehand how little to believe them.

[ABLR] Perrone et al. Scalable Hyperparameter Transfer Learning. NeurIPS 2018.

Why the trunks: on tasks that rank architectures differently the features that all sources
need still carry over. From 30 random trials of a data set of NAS-Bench-Graph the mean
Kendall's tau of a Gaussian process on them alone is 0.40, on the stretched descriptors 0.37
and on the descriptors as they are 0.33; from 10 trials 0.34, 0.30 and 0.23.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logsumexp

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.censored import posterior_given, without_outliers
from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.placed import Placed, Standard, typical_distance
from metanas.predictors.ranking_ensemble import RankingEnsemble
from metanas.predictors.relevance import MOST_ARCHITECTURES, MOST_TASKS, learn_relevance
from metanas.predictors.residual import (
    Floats,
    Hypotheses,
    Posterior,
    Seen,
    Wide,
    kernels,
    log_evidence,
)
from metanas.predictors.source_scores import SourceScores
from metanas.predictors.trust import learn_belief, trust
from metanas.protocols import SearchSpace

CHUNK = 16_384

DIRECTIONS = 16
"""Principal directions of the trunks' features that count in distances."""

FOREIGN = 32.0
"""Where the target's scores spread so many times more or less than the sources', their
unit is not believed."""

LESSON = 20.0
"""What the sources taught about residuals counts as so many trials of the target."""


class Universal:
    """Learned from source trials once; see the module.

    Args:
        sources: trials of other tasks than those predicted for; a few seconds for thousands.
        tasks: records by name.
        members, steps: of the ensemble, as in `metanas.predictors.tapas.Tapas`.
    """

    def __init__(
        self,
        sources: Sequence[Trial],
        tasks: Mapping[str, Task],
        space: SearchSpace,
        *,
        members: int,
        steps: int,
        seed: int,
    ) -> None:
        known = SourceScores.of(sources, space)
        self.tasks = known.tasks
        self._records = dict(tasks)
        self._space = space
        described = space.describe_all(known.architectures)
        self._standard = Standard(described)
        inputs = self._standard(described)
        self._ensemble = RankingEnsemble(members=members, steps=steps, seed=seed).fit(
            torch.from_numpy(inputs), torch.from_numpy(known.normal.astype(np.float32))
        )
        features = self._ensemble.features(torch.from_numpy(inputs))
        raw = self._ensemble.scores(features)  # (members, n, T)
        self._level = raw.mean(dim=1, keepdim=True)
        self._scale = raw.std(dim=1, keepdim=True, correction=0).clamp(min=1e-6)
        rng = np.random.default_rng(seed)
        self._middle, self._directions = _principal(features, rng)
        self._relevance = learn_relevance(inputs.astype(np.float64), known.normal, rng=rng)
        self._typical: tuple[float, ...] = (1.0, 1.0)
        placed = self.place(known.architectures)
        predicted = placed.heads.T.astype(np.float64)
        self._belief = learn_belief(known.normal, predicted, self._records, self.tasks)
        some = placed.take(rng.permutation(len(inputs))[:MOST_ARCHITECTURES])
        self._typical = tuple(typical_distance(points) for points in some.points)
        units = np.array([unit_of(row[np.isfinite(row)]) for row in known.scores])
        self.unit = float(np.median(units[units > 0])) if (units > 0).any() else 1.0
        taught = _Taught(self.place(known.architectures), known.scores, units)
        self.log_prior = self._lesson(taught)
        """Of the kernels and the hypotheses of `Hypotheses.grid`; shape (kernels, G)."""

    def place(self, architectures: Sequence[Architecture]) -> Placed:
        """Raises:
        ValueError: an architecture of another space.
        """
        inputs = self._standard(self._space.describe_all(architectures))
        heads = np.empty((len(inputs), len(self.tasks)), np.float32)
        spread = np.empty_like(heads)
        learned = np.empty((len(inputs), self._directions.shape[1]), np.float32)
        for start in range(0, len(inputs), CHUNK):
            features = self._ensemble.features(torch.from_numpy(inputs[start : start + CHUNK]))
            each = ((self._ensemble.scores(features) - self._level) / self._scale).numpy()
            heads[start : start + CHUNK] = each.mean(axis=0)
            spread[start : start + CHUNK] = each.std(axis=0)
            learned[start : start + CHUNK] = (_joined(features) - self._middle) @ self._directions
        stretched = inputs * self._relevance.astype(np.float32)
        points = tuple(
            each / np.float32(typical)
            for each, typical in zip((stretched, learned), self._typical, strict=True)
        )
        return Placed(heads, points, spread)

    def weights(self, task: Task) -> Floats:
        """The trust in each source before the task has trials, shape (T,)."""
        return trust(task, self._records, self.tasks, 0, self._belief)

    def expected(self, placed: Placed, task: Task) -> tuple[Floats, Floats]:
        """g_u in standard deviations, and the members' and sources' disagreement; (N,) each."""
        weights = self.weights(task)
        mean = placed.heads @ weights
        apart = (placed.heads - mean[:, None]) ** 2 + placed.spread**2
        return mean.astype(np.float64), np.sqrt(apart @ weights).astype(np.float64)

    def posterior(self, seen: Placed, own: OwnTrials, task: Task) -> Posterior:
        """What the task's own trials, at least one, make of g_u.

        Args:
            seen: the architectures of ``own.measured``.
        """
        spread = unit_of(own.scores)
        foreign = spread > FOREIGN * self.unit or 0.0 < spread < self.unit / FOREIGN
        hypotheses = Hypotheses.grid(spread if foreign else self.unit, transfer=True)
        return posterior_given(hypotheses, self.log_prior, own, seen, self.weights(task))

    def _lesson(self, taught: _Taught) -> Floats:
        """What each source, predicted from the others, says of the hypotheses.

        It says nothing of kernels: the trunks have seen its scores, so it would favour theirs.
        """
        hypotheses = Hypotheses.grid(1.0, transfer=True)
        total = np.zeros((len(kernels(len(self._typical))), len(hypotheses)))
        counts = np.isfinite(taught.scores).sum(axis=1)
        rows = [t for t in np.argsort(-counts, kind="stable") if taught.units[t] > 0][:MOST_TASKS]
        if len(self.tasks) > 1:
            for row in rows:
                seen = self._pseudo_target(taught, row)
                total += log_evidence(hypotheses, seen) * (LESSON / len(seen.scores)) / len(rows)
        even: Floats = logsumexp(total, axis=0) - logsumexp(total) - np.log(len(total))
        return np.tile(even + hypotheses.log_prior(1.0), (len(total), 1))

    def _pseudo_target(self, taught: _Taught, row: int) -> Seen:
        """One source as if it were the target: the half of its trials the others like best.

        Only that half, for a search hardly sees the other.
        """
        others = [t for t in range(len(self.tasks)) if t != row]
        record = self._records.get(self.tasks[row], Task.table(self.tasks[row]))
        weights = trust(record, self._records, [self.tasks[t] for t in others], 0, self._belief)
        known = np.flatnonzero(np.isfinite(taught.scores[row]))[:MOST_ARCHITECTURES]
        liked = taught.placed.heads[known][:, others] @ weights
        best = known[np.argsort(-liked, kind="stable")[: max(1, len(known) // 2)]]
        placed = taught.placed.take(best)
        return Seen(
            placed.heads[:, others].astype(np.float64),
            tuple(each.astype(np.float64) for each in placed.apart(placed)),
            without_outliers(taught.scores[row, best]) / taught.units[row],
            weights,
        )


@dataclass(frozen=True)
class _Taught:
    """The source trials; scores are of shape (T, n), units one a task (0: they are all equal)."""

    placed: Placed
    scores: Floats
    units: Floats


def _joined(features: torch.Tensor) -> Wide:
    """All trunks' features side by side, shape (n, members * width)."""
    joined: Wide = features.transpose(0, 1).flatten(1).numpy()
    return joined


def _principal(features: torch.Tensor, rng: np.random.Generator) -> tuple[Wide, Wide]:
    """Mean of the joined features, and the directions in which they vary most."""
    joined = _joined(features)
    some = joined[rng.permutation(len(joined))[:MOST_ARCHITECTURES]]
    middle = some.mean(axis=0)
    directions = np.linalg.svd(some - middle, full_matrices=False)[2][:DIRECTIONS].T
    return middle, np.ascontiguousarray(directions)


def unit_of(scores: Floats) -> float:
    """Standard deviation above the middle: failures far below do not count."""
    if len(scores) < 2:
        return 0.0
    return float(np.quantile(scores, 0.9) - np.median(scores)) / 1.2816
