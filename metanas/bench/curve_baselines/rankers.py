"""LCRankNet, the default and the paper's, as the benchmark asks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import LearningCurve, Task, Trial, TrialState
from metanas.bench.curve_baselines.forecast import by_chance
from metanas.bench.curve_baselines.target import Floats, Ints, Setting, Target
from metanas.protocols import SearchSpace
from metanas.rankers.lcranknet import LCRankNet
from metanas.rankers.lcranknet_paper import LCRankNetPaper
from metanas.rankers.lone import LoneSearch
from metanas.rankers.replay import replay

RISK = 0.05
DELTAS = (0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.003)


class Default:
    """`metanas.rankers.lcranknet`; the threshold chosen on the sources comes first.

    Without two sources it stops as `Alone` does: so does `metanas.search.pruner`.
    """

    def __init__(self, *, space: SearchSpace, seed: int, outcome: str) -> None:
        self._alone = Alone(space=space, seed=seed, outcome=outcome)
        self._ranker = LCRankNet(space=space, seed=seed, outcome=outcome)

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        self._ranker.fit(trials, tasks)
        return self

    def rank(self, target: Target, length: int) -> Floats | None:
        return self._ranker.scores(prefixes(target, length), target.task)

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        if self._ranker.prior is None:
            found = self._alone.stop(target, orders)
            first = next(each for each in found if each.chosen)
            return [first, *(replace(each, chosen=False) for each in found)]
        own = self._ranker.threshold(RISK)
        lengths, positions = replay(self._ranker, target.trials, orders, [own, *DELTAS])
        passed = target.passed(positions)
        return [
            Setting(delta, passed[found - 1], index == 0)
            for index, (delta, found) in enumerate(zip([own, *DELTAS], lengths, strict=True))
        ]


class Paper:
    """`metanas.rankers.lcranknet_paper`: compares the scores of a prefix and the best run."""

    def __init__(self, *, space: SearchSpace, seed: int, outcome: str) -> None:
        self._ranker = LCRankNetPaper(space=space, seed=seed, outcome=outcome)

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        self._ranker.fit(trials, tasks)
        return self

    def rank(self, target: Target, length: int) -> Floats | None:
        return self._ranker.scores(prefixes(target, length), target.task)

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        lengths = range(1, target.positions + 1)
        score = np.stack(
            [self._ranker.scores(prefixes(target, n), target.task) for n in lengths], 1
        )
        # A normal of this width is the logistic function of the scores' difference.
        width = np.full(score.shape, 1.7)
        return by_chance(score, width, target.final, orders, rival=score[:, -1], deltas=DELTAS)


class Alone:
    """LCRankNet's pruner on a task that no other can teach anything about."""

    def __init__(self, *, space: SearchSpace, seed: int, outcome: str) -> None:
        self._outcome = outcome

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        return self

    def rank(self, target: Target, length: int) -> Floats | None:
        return None

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        return [
            Setting(
                delta,
                np.stack([self._search(target, order, delta) for order in orders]),
                delta == RISK,
            )
            for delta in DELTAS
        ]

    def _search(self, target: Target, order: Ints, delta: float) -> Ints:
        search = LoneSearch(self._outcome)
        lengths = np.full(len(order), target.positions, np.int64)
        epochs = target.epochs.tolist()
        for run in order.tolist():
            curve = target.curves[run].tolist()
            search.add(run, None)
            for length in range(1, target.positions):
                search.extend(run, epochs[:length], curve[:length])
                chance = search.chance(run)
                if chance is not None and chance <= delta * search.left(run):
                    lengths[run] = length
                    break
            else:
                search.extend(run, epochs, curve)
                search.finish(run)
        return lengths


def prefixes(target: Target, length: int) -> list[Trial]:
    """The runs as they are after so many points: stopped, but for those that were whole."""
    return [
        Trial(
            trial.task,
            trial.architecture,
            LearningCurve(
                trial.curve.metric, trial.curve.epochs[:length], trial.curve.values[:length]
            ),
            trial.state if length >= len(trial.curve) else TrialState.STOPPED,
            trial.seed,
            trial.source,
        )
        for trial in target.trials
    ]
