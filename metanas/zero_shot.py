"""A new dataset in, ranked architectures out, with no candidate trained.

The nearest tasks' trials fit a predictor; it scores a space's architectures for
the new task; those within the limits are ranked. The answer carries its reasons:
which tasks it was learned from, and how much each counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import TABLE_KIND, Architecture, Task
from metadata_store.store import MetadataStore
from metanas.predictors.recommend import recommend
from metanas.predictors.simulated_evolution import simulated_evolution
from metanas.predictors.source_weights import WeighsSources
from metanas.protocols import Costs, Predictor, SearchSpace
from metanas.sources import LEAST, source_trials
from metanas.spaces.random_chooser import RandomChooser
from tasks.similarity import Neighbour


class NothingToLearnFrom(ValueError):
    """No other task has scores in the space."""


POPULATION = 1000
"""Individuals of the evolution, as in the paper."""

OVER = -1e6
"""Fitness of an architecture just above a limit; far below all predictions."""


@dataclass(frozen=True)
class Recommendation:
    """One architecture, and what is expected of it.

    Attributes:
        score: predicted, on the predictor's own scale; higher is better.
        std: uncertainty on the same scale.
        params: trainable numbers of the network built for the task; None where
            the space has no networks.
        flops: multiply-adds for one input; None likewise.
    """

    architecture: Architecture
    score: float
    std: float
    params: int | None
    flops: int | None


@dataclass(frozen=True)
class ZeroShot:
    """What a zero-shot run found.

    Attributes:
        task: the task's name.
        space: the search space's name.
        scored: how many architectures were scored; those that compute the same
            share one score, and only the smallest of them is recommended.
        seconds: fit, scoring and ranking.
        neighbours: tasks learned from, the one that counted most first; weights, those of
            the predictor, sum to 1.
        recommendations: best first.
    """

    task: str
    space: str
    scored: int
    seconds: float
    neighbours: tuple[Neighbour, ...]
    recommendations: tuple[Recommendation, ...]


def zero_shot(
    task: Task,
    store: MetadataStore,
    *,
    space: SearchSpace,
    predictor: Predictor,
    neighbours: int,
    candidates: int,
    top: int,
    max_params: int | None = None,
    max_flops: int | None = None,
    exclude: Sequence[str] = (),
    seed: int = 0,
) -> ZeroShot:
    """Fits the predictor on the nearest tasks' trials and ranks the space's architectures.

    The task's own trials are never used.

    Args:
        predictor: fitted here.
        neighbours: how many tasks to learn from.
        candidates: how many architectures to draw where the space cannot be listed; the
            first of them evolve further on the predicted scores.
        top: how many to recommend, at least 1.
        max_params, max_flops: see `Recommendation`.
        exclude: tasks not to learn from.

    Raises:
        NothingToLearnFrom: no other task has trials in the space.
        ValueError: no architecture is within the limits.
    """
    started = time.perf_counter()
    chosen, trials = sources(task, store, space=space, neighbours=neighbours, exclude=exclude)
    limits = _Limits(space, task, max_params, max_flops)
    whole = space.enumerate()
    # Before the fit: what nothing can meet need not be waited for.
    limits.excess(())
    found = None if whole is None else limits.within(whole)
    predictor.fit(trials, {name: store.task(name) for name in trials.present("task")})
    listed, costs = found or limits.within(_met(space, predictor, task, limits, candidates, seed))
    kept = _different(listed, costs, space)
    drawn = [listed[i] for i in kept]
    chosen_rows = recommend(predictor, drawn, task, top, space=space, seed=seed)
    prediction = predictor.predict([drawn[i] for i in chosen_rows], task)
    # Which ones are recommended hedges between the sources; their order is by score.
    ranked = [(rank, chosen_rows[rank]) for rank in np.argsort(-prediction.mean, kind="stable")]
    return ZeroShot(
        task=task.name,
        space=space.name,
        scored=len(listed),
        seconds=time.perf_counter() - started,
        neighbours=tuple(_counted(chosen, predictor, task)),
        recommendations=tuple(
            Recommendation(
                architecture=drawn[i],
                score=float(prediction.mean[rank]),
                std=float(prediction.std[rank]),
                params=None if costs is None else int(costs.params[kept[i]]),
                flops=None if costs is None else int(costs.flops[kept[i]]),
            )
            for rank, i in ranked
        ),
    )


def sources(
    task: Task,
    store: MetadataStore,
    *,
    space: SearchSpace,
    neighbours: int,
    exclude: Sequence[str] = (),
) -> tuple[list[Neighbour], Trials]:
    """The nearest other tasks with scores in the space, and their trials.

    Raises:
        NothingToLearnFrom: there is no such task.
        UnknownTask: one to exclude.
    """
    chosen, trials = source_trials(
        store, task, space.name, neighbours=neighbours, exclude=exclude, most=None
    )
    if not chosen:
        raise NothingToLearnFrom(
            f"need another task with scores of {LEAST} architectures in space {space.name!r} "
            f"to learn from, got none in the store; import some with `metanas store import`"
        )
    return chosen, trials


def _met(
    space: SearchSpace,
    predictor: Predictor,
    task: Task,
    limits: _Limits,
    candidates: int,
    seed: int,
) -> list[Architecture]:
    """Random architectures, and what evolves from some of them on predicted scores; each once."""
    chooser = RandomChooser(np.random.default_rng(seed))
    drawn = [space.suggest(chooser) for _ in range(max(candidates, 2))]
    cheapest_first = np.argsort(limits.excess(drawn), kind="stable")

    def fitness(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        excess = limits.excess(architectures)
        mean = predictor.predict(architectures, task).mean
        # All above the limits are worse than any within, the more the further.
        return np.where(excess > 0, OVER * (1 + excess), mean)

    evolved = simulated_evolution(
        space,
        fitness,
        [drawn[i] for i in cheapest_first[:POPULATION].tolist()],
        rng=np.random.default_rng(seed),
    )
    return list({each.key: each for each in (*evolved, *drawn)}.values())


def _counted(chosen: Sequence[Neighbour], predictor: Predictor, task: Task) -> list[Neighbour]:
    """The neighbours, with the weights the predictor gave them; even ones if it gives none."""
    even = dict.fromkeys((each.task for each in chosen), 1.0 / len(chosen))
    weights = predictor.source_weights(task) if isinstance(predictor, WeighsSources) else even
    counted = [replace(each, weight=float(weights.get(each.task, 0.0))) for each in chosen]
    return sorted(counted, key=lambda each: -each.weight)


@dataclass(frozen=True)
class _Limits:
    """What an architecture may cost on a task; None for no limit."""

    space: SearchSpace
    task: Task
    max_params: int | None
    max_flops: int | None

    def excess(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """By what share each costs more than allowed, 0 where it does not; shape (n,).

        Raises:
            ValueError: there are limits, but no networks to count.
        """
        if self.max_params is None and self.max_flops is None:
            return np.zeros(len(architectures))
        costs = self._costs(architectures)
        return np.zeros(len(architectures)) if costs is None else self._over(costs)

    def within(
        self, architectures: Sequence[Architecture]
    ) -> tuple[list[Architecture], Costs | None]:
        """Those that cost no more than allowed, and what they cost.

        Raises:
            ValueError: none do, or as `excess`.
        """
        costs = self._costs(architectures)
        if costs is None:
            return list(architectures), None
        kept = np.flatnonzero(self._over(costs) == 0)
        if not len(kept):
            raise ValueError(
                f"none of {len(architectures):,} architectures is within the limits: the least "
                f"has {costs.params.min():,} parameters, the cheapest {costs.flops.min():,} "
                f"multiply-adds"
            )
        fitting = Costs(costs.params[kept], costs.flops[kept])
        return [architectures[i] for i in kept.tolist()], fitting

    def _costs(self, architectures: Sequence[Architecture]) -> Costs | None:
        """None where there are neither networks nor limits."""
        table = self.task.kind == TABLE_KIND
        costs = None if table else self.space.costs(architectures, self.task)
        if costs is None and (self.max_params is not None or self.max_flops is not None):
            raise ValueError(
                f"need networks to count parameters and FLOPs, got space {self.space.name!r} "
                f"and task {self.task.name!r} of which there are none"
            )
        return costs

    def _over(self, costs: Costs) -> NDArray[np.float64]:
        over = np.zeros(len(costs.params))
        for values, most in ((costs.params, self.max_params), (costs.flops, self.max_flops)):
            if most is not None:
                over = np.maximum(over, values / max(most, 1) - 1)
        return over


def _different(
    architectures: Sequence[Architecture], costs: Costs | None, space: SearchSpace
) -> list[int]:
    """Positions of architectures that compute differently, the smallest of each kind."""
    order = range(len(architectures))
    smallest_first = order if costs is None else np.argsort(costs.params, kind="stable").tolist()
    found: dict[str, int] = {}
    for i in smallest_first:
        found.setdefault(space.canonical(architectures[i]).key, i)
    return sorted(found.values())
