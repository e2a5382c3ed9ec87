"""Optuna's own pruners, used as they are: a study is replayed on stored curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.bench.curve_baselines.target import Floats, Ints, Setting, Target
from metanas.protocols import SearchSpace
from metanas.search.replay import replayed


class OptunaPruner:
    """One of them at several settings, each a dictionary of its options."""

    name: ClassVar[str]
    option: ClassVar[str]
    settings: ClassVar[Sequence[float]]
    usual: ClassVar[float]
    others: ClassVar[dict[str, Any]] = {}

    def __init__(self, *, space: SearchSpace, seed: int, outcome: str) -> None:
        self._seed = seed

    def fit(self, trials: Trials, tasks: dict[str, Task]) -> Self:
        return self

    def rank(self, target: Target, length: int) -> Floats | None:
        return None

    def stop(self, target: Target, orders: Ints) -> Sequence[Setting]:
        return [
            Setting(
                value,
                replayed(
                    self.name,
                    {**self.others, self.option: value},
                    target.curves,
                    target.final,
                    orders,
                    seed=self._seed,
                ),
                value == self.usual,
            )
            for value in self.settings
        ]


class Median(OptunaPruner):
    """By how many points a run is spared."""

    name, option, settings, usual = "median", "n_warmup_steps", (1, 2, 5), 1


class Percentile(OptunaPruner):
    """By the percentile that survives."""

    name, option, settings, usual = "percentile", "percentile", (10.0, 25.0), 25.0
    others: ClassVar[dict[str, Any]] = {"n_warmup_steps": 1}


class SuccessiveHalving(OptunaPruner):
    """By the rate at which runs are halved."""

    name, option, settings, usual = "sha", "reduction_factor", (2, 3, 4), 3
    others: ClassVar[dict[str, Any]] = {"min_resource": 2}


class Hyperband(OptunaPruner):
    """By the rate at which runs are halved."""

    name, option, settings, usual = "hyperband", "reduction_factor", (3, 4), 3
    others: ClassVar[dict[str, Any]] = {"min_resource": 2}


class Wilcoxon(OptunaPruner):
    """By the error probability of the test."""

    name, option, settings, usual = "wilcoxon", "p_threshold", (0.05, 0.2), 0.05
