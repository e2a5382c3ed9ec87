"""Baselines that learn from source curves: boosting, support vectors, curve matching.

[Baker] Baker, Gupta, Raskar and Naik. Accelerating neural architecture search using
performance prediction. ICLR 2018 workshop (arXiv 2017).
[Chandrashekaran] Chandrashekaran and Lane. Speeding up hyper-parameter optimization by
extrapolation of learning curves using previous builds. ECML PKDD 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from scipy.stats import norm, rankdata
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import NuSVR

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.bench.curve_baselines.forecast import by_chance
from metanas.bench.curve_baselines.target import Floats, Ints, Setting, Target
from metanas.protocols import SearchSpace
from metanas.rankers.curve_shape import shape_numbers
from metanas.rankers.curve_table import outcome_curves
from metanas.rankers.sources import Sources, whole_on

LENGTHS = (1, 2, 3, 5, 8, 12, 20, 30, 40)
"""Lengths with a model of their own; others use that of the next shorter one."""


class Learned:
    """What the three share: curves of sources and targets on one grid and scale."""

    def __init__(self, *, space: SearchSpace, seed: int, outcome: str) -> None:
        self._space, self._seed, self._outcome = space, seed, outcome

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        sources = Sources.of(trials, self._space, self._outcome)
        if sources is None:
            raise ValueError("need a source task with at least eight finished curves")
        self._sources = sources
        self._learn(sources)
        return self

    def rank(self, target: Target, length: int) -> Floats | None:
        curves, codes = self._seen(target)
        epoch, total = int(target.epochs[length - 1]), int(target.epochs[-1])
        return self._rank(curves, codes, max(1, self._sources.grid.covered(epoch, total)))

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        curves, codes = self._seen(target)
        mean, std = self._forecasts(curves, codes)
        passed = target.passed(self._sources.grid.positions)
        return [
            replace(each, lengths=passed[each.lengths - 1])
            for each in by_chance(mean, std, curves[:, -1], orders)
        ]

    def _seen(self, target: Target) -> tuple[Floats, Floats]:
        trials, sources = target.trials, self._sources
        curves = np.stack([whole_on(sources.grid, trials, row) for row in range(len(trials))])
        codes = sources.encode([trials.architectures[code] for code in trials.architecture_codes])
        return outcome_curves(sources.scale(curves), self._outcome), codes

    def _learn(self, sources: Sources) -> None:
        raise NotImplementedError

    def _rank(self, curves: Floats, codes: Floats, length: int) -> Floats:
        raise NotImplementedError

    def _forecasts(self, curves: Floats, codes: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation of the final value after each point, (n, positions)."""
        raise NotImplementedError


class GradientBoosting(Learned):
    """Boosted trees on numbers of the prefix and the architecture.

    For stopping they predict the gain still to come, in raw units, and its size of error;
    for ranking the normal score of the final value within its task.
    """

    def _learn(self, sources: Sources) -> None:
        positions = len(sources.grid)
        lengths = np.unique([*range(min(12, positions - 1)), *range(11, positions - 1, 3)])
        rows, gains, scores, groups = [], [], [], []
        for index, table in enumerate(sources.tables):
            rows.append(_rows(table.curves, table.codes)[:, lengths])
            gains.append(table.final[:, None] - table.curves[:, lengths])
            place = norm.ppf((rankdata(table.final) - 0.5) / len(table.final))
            scores.append(np.repeat(place[:, None], len(lengths), axis=1))
            groups.append(np.full(gains[-1].size, index))
        width = rows[0].shape[2]
        x = np.concatenate([each.reshape(-1, width) for each in rows])
        gain, score, group = (
            np.concatenate([np.ravel(each) for each in part]) for part in (gains, scores, groups)
        )
        self._gain, self._score = self._trees().fit(x, gain), self._trees().fit(x, score)
        error = np.abs(gain - self._gain.predict(x))
        for half in range(2 if len(sources.tables) > 1 else 0):
            held = group % 2 == half
            error[held] = np.abs(gain - self._trees().fit(x[~held], gain[~held]).predict(x))[held]
        self._error = self._trees(loss="poisson").fit(x, error + 1e-9)

    def _rank(self, curves: Floats, codes: Floats, length: int) -> Floats:
        return np.asarray(self._score.predict(_rows(curves, codes)[:, length - 1]))

    def _forecasts(self, curves: Floats, codes: Floats) -> tuple[Floats, Floats]:
        rows = _rows(curves, codes)
        flat = rows.reshape(-1, rows.shape[2])
        mean = curves + self._gain.predict(flat).reshape(curves.shape)
        # Of a normal error, the deviation is 1.25 times the mean size.
        return mean, np.maximum(1.25 * self._error.predict(flat).reshape(curves.shape), 1e-6)

    def _trees(self, loss: str = "squared_error") -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
            loss=loss,
            max_iter=200,
            learning_rate=0.07,
            min_samples_leaf=40,
            l2_regularization=1.0,
            random_state=self._seed,
        )


class SupportVectors(Learned):
    """A support vector regression for each length, on the curve, its differences, and codes."""

    most_rows = 1_200

    def _learn(self, sources: Sources) -> None:
        curves = np.concatenate([table.curves for table in sources.tables])
        codes = np.concatenate([table.codes for table in sources.tables])
        rng = np.random.default_rng(self._seed)
        rows = rng.permutation(len(curves))[: self.most_rows]
        test = rng.permutation(len(rows)) < len(rows) // 4
        self._models = {}
        for length in LENGTHS:
            if length >= curves.shape[1]:
                continue
            x, y = _differences(curves[rows], codes[rows], length), curves[rows, -1]
            unit = max(float(y.std()), 1e-12)
            held = make_pipeline(StandardScaler(), NuSVR(C=3.0, nu=0.5))
            held.fit(x[~test], y[~test] / unit)
            error = float(np.std(y[test] / unit - held.predict(x[test]))) * unit
            model = make_pipeline(StandardScaler(), NuSVR(C=3.0, nu=0.5)).fit(x, y / unit)
            self._models[length] = model, unit, max(error, 1e-9)

    def _rank(self, curves: Floats, codes: Floats, length: int) -> Floats:
        return self._forecast(curves, codes, length)[0]

    def _forecasts(self, curves: Floats, codes: Floats) -> tuple[Floats, Floats]:
        found = [self._forecast(curves, codes, p) for p in range(1, curves.shape[1] + 1)]
        mean, std = (np.stack(part, axis=1) for part in zip(*found, strict=True))
        return mean, std

    def _forecast(self, curves: Floats, codes: Floats, length: int) -> tuple[Floats, Floats]:
        used = max(each for each in self._models if each <= length)
        model, unit, error = self._models[used]
        predicted = unit * model.predict(_differences(curves, codes, used))
        return np.asarray(predicted), np.full(len(curves), error)


class CurveMatching(Learned):
    """The source curves that, moved and stretched, fit the prefix best say how it goes on."""

    most_curves, nearest = 400, 10

    def _learn(self, sources: Sources) -> None:
        curves = np.concatenate([table.curves for table in sources.tables])
        chosen = np.random.default_rng(self._seed).permutation(len(curves))
        self._library = curves[chosen[: self.most_curves]]

    def _rank(self, curves: Floats, codes: Floats, length: int) -> Floats:
        return self._forecast(curves, length)[0]

    def _forecasts(self, curves: Floats, codes: Floats) -> tuple[Floats, Floats]:
        found = [self._forecast(curves, p) for p in range(1, curves.shape[1] + 1)]
        mean, std = (np.stack(part, axis=1) for part in zip(*found, strict=True))
        return mean, std

    def _forecast(self, curves: Floats, length: int) -> tuple[Floats, Floats]:
        if length < 4:  # two numbers are fitted, the first point is before training
            return curves[:, length - 1], np.full(len(curves), np.inf)
        seen, known = curves[:, 1:length], self._library[:, 1:length]
        one, two = seen - seen.mean(1, keepdims=True), known - known.mean(1, keepdims=True)
        slope = one @ two.T / np.maximum((two**2).sum(1), 1e-12)  # (n, library)
        slope = np.clip(slope, 0.0, 5.0)
        left = (one**2).sum(1)[:, None] - 2 * slope * (one @ two.T) + slope**2 * (two**2).sum(1)
        end = seen.mean(1)[:, None] + slope * (self._library[:, -1] - known.mean(1))
        best = np.argsort(left, axis=1)[:, : self.nearest]
        ends = np.take_along_axis(end, best, axis=1)
        noise = np.take_along_axis(left, best, axis=1).clip(0).mean(1) / length
        return ends.mean(axis=1), np.sqrt(ends.var(axis=1) + noise + 1e-12)


def _rows(curves: Floats, codes: Floats) -> Floats:
    """Numbers of every prefix with the codes, (n, positions, numbers)."""
    wide = np.repeat(codes[:, None], curves.shape[1], axis=1)
    return np.concatenate([shape_numbers(curves), wide], axis=2)


def _differences(curves: Floats, codes: Floats, length: int) -> Floats:
    """The prefix, its first and second differences, and the codes; (n, numbers)."""
    seen = curves[:, :length]
    steps = np.diff(seen, axis=1), np.diff(seen, n=2, axis=1)
    return np.concatenate([seen, *steps, codes], axis=1)
