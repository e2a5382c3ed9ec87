"""Strategies as Optuna samplers, and Optuna's own by name.

A strategy proposes whole architectures. When a trial asks for its first choice, the
sampler has the strategy propose one and answers this and all further questions from it;
a question it has no answer to (a parameter outside the space, a value outside the range)
goes to TPE.

In a user's own study the space may be unknown: then it is what the study's trials have
been asked so far, or, before the first one, what the store's trials have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Task, Trial
from metadata_store.records import TrialState as State
from metadata_store.store import MetadataStore
from metanas.protocols import SearchSpace, Strategy
from metanas.search.asked import asked
from metanas.search.record import STATES
from metanas.search.study import Plan, standing
from metanas.search.study_space import SpaceNames, StudySpace, nearest_value, trained
from metanas.search.turn import Turn
from metanas.sources import as_ended, as_task, source_trials
from metanas.spaces import NAMED

MakeStrategy = Callable[[SearchSpace], Strategy]
"""Makes a strategy for a space; called again when what is known of the space has grown."""


class StrategySampler(BaseSampler):
    """Asks a strategy for every trial.

    Args:
        make: gives the strategy, see `MakeStrategy`.
        task: the one searched on.
        space: or a function that tells it from the study's trials, None where it cannot.
        seed: a trial's randomness follows from this and its number.
    """

    def __init__(
        self,
        make: MakeStrategy,
        task: Task,
        space: SearchSpace | StudySpace,
        *,
        seed: int | None = None,
    ) -> None:
        self._make = make
        self._task = task
        self._space = space
        self._seed = _drawn(seed)
        self._fallback = optuna.samplers.TPESampler(seed=seed)
        self._strategy: tuple[SearchSpace, Strategy] | None = None
        self._proposed: dict[int, Mapping[str, Any]] = {}
        self._turn = Turn()
        self._lock = threading.Lock()  # a study may run trials in threads

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if Plan.of(study) is not None:  # only there do all trials say what they run
            with self._lock:
                self._strategy_for(_others(study, trial))  # learns, while others may propose
            self._turn.wait(study, trial.number)
        with self._lock:
            self._proposed[trial._trial_id] = self._propose(study, trial)
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        value = self._proposed.get(trial._trial_id, {}).get(param_name)
        fitted = None if value is None else nearest_value(param_distribution, value)
        if fitted is not None:
            return fitted
        return self._fallback.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._fallback.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._proposed.pop(trial._trial_id, None)
        self._fallback.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._fallback.reseed_rng()

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> Mapping[str, Any]:
        if len(study.directions) > 1:
            raise ValueError(
                f"a strategy searches for one objective, the study has {len(study.directions)}"
            )
        others = _others(study, trial)
        made = self._strategy_for(others)
        if made is None:
            return {}
        space, strategy = made
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        tried, pending = _split(others, space, self._task, sign, told=Plan.of(study) is not None)
        rng = np.random.default_rng([self._seed, trial.number])
        proposal = strategy.propose(tried, self._task, rng, pending=pending)
        return asked(space, proposal)

    def _strategy_for(self, others: Sequence[FrozenTrial]) -> tuple[SearchSpace, Strategy] | None:
        """With its space; None where that cannot be told yet."""
        space = self._space(others) if isinstance(self._space, StudySpace) else self._space
        if space is None:
            return None
        if self._strategy is None or self._strategy[0] != space:
            self._strategy = space, self._make(space)
        return self._strategy


class XferNASSampler(StrategySampler):
    """Starts where past searches ended: XferNAS fed from a store.

    Works in any Optuna study of one objective. Where the store has no trials in the space
    it is Optuna's TPE.

    Args:
        store: read when the space is known, and not again.
        task: its name or record; a name the store lacks stands for a task of which
            nothing is known.
        space: a search space; or the name of one, as in `Architecture.space`, whose choices
            the objective asks for; None for that space in the store whose choices have the
            names of the objective's parameters, so that the first trial is TPE's.
        seed: of all randomness.
        neighbours: how many of the nearest tasks to learn from.
    """

    def __init__(
        self,
        store: MetadataStore,
        task: str | Task,
        space: str | SearchSpace | None = None,
        *,
        seed: int | None = None,
        neighbours: int = 12,
    ) -> None:
        self._store = store
        self._record = as_task(store, task)
        self._neighbours = neighbours
        self._strategy_seed = _drawn(seed)
        self._sources = Trials.of([])
        self._tasks: Mapping[str, Task] = {self._record.name: self._record}
        super().__init__(self._make_xfernas, self._record, StudySpace("", self._sources), seed=seed)
        self._wants_space = space is None
        if isinstance(space, str):
            self._learn(NAMED[space]() if space in NAMED else space)
        elif space is not None:
            self._learn(space)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        with self._lock:
            if self._wants_space:
                self._look_for_space(study)
        if len(self._sources) == 0:
            return self._fallback.infer_relative_search_space(study, trial)
        return super().infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if len(self._sources) == 0:
            return self._fallback.sample_relative(study, trial, search_space)
        return super().sample_relative(study, trial, search_space)

    def _look_for_space(self, study: optuna.Study) -> None:
        """By the names that the study's first trial was asked for."""
        asked_for = {
            name
            for each in study.get_trials(deepcopy=False)
            if each.state.is_finished()
            for name in each.distributions
        }
        if not asked_for:
            return
        spaces = self._store.info().spaces
        known = SpaceNames.of({name: self._store.batch(space=name) for name in spaces})
        if (found := known.alike(asked_for)) is not None:
            self._learn(found)
        self._wants_space = False

    def _learn(self, space: str | SearchSpace) -> None:
        name = space if isinstance(space, str) else space.name
        _, found = source_trials(
            self._store, self._record, name, neighbours=self._neighbours, stopped=True
        )
        sources = as_ended(found)
        names = sources.present("task")
        self._tasks = {**self._tasks, **{each: self._store.task(each) for each in names}}
        self._space = StudySpace(name, sources) if isinstance(space, str) else space
        # Last: trials of other threads are the fallback's as long as there are none.
        self._sources = sources

    def _make_xfernas(self, space: SearchSpace) -> Strategy:
        from metanas.strategies import STRATEGIES

        made: Strategy = STRATEGIES["xfernas"](
            space=space, sources=self._sources, tasks=self._tasks, seed=self._strategy_seed
        )
        return made


def _others(study: optuna.Study, trial: FrozenTrial) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False)
    return [each for each in standing(trials) if each.number != trial.number]


def _split(
    trials: Sequence[FrozenTrial], space: SearchSpace, task: Task, sign: float, *, told: bool
) -> tuple[list[Trial], list[Architecture]]:
    """The trials that ended, in that order, and what is running or waiting."""
    names = list(space.domain)
    tried: list[tuple[Any, Trial]] = []
    pending: list[Architecture] = []
    for each in trials:
        try:
            architecture = trained(space.name, each, names, told=told)
            space.validate(architecture)
        except ValueError:
            continue  # not asked for all its choices yet
        if not each.state.is_finished():
            pending.append(architecture)
            continue
        curve, state = _curve(each, sign)
        ended = Trial(task.name, architecture, curve, state, each.number % 2**31, "study")
        tried.append((each.datetime_complete, ended))
    tried.sort(key=lambda pair: pair[0])
    return [trial for _, trial in tried], pending


def _curve(trial: FrozenTrial, sign: float) -> tuple[LearningCurve, State]:
    """A completed trial's value; of a stopped one what it reported."""
    state = STATES[trial.state]
    points = dict(sorted(trial.intermediate_values.items()))
    shift = 1 - min([1, *points])
    if state is State.COMPLETED:
        points = {max([1, *points]): float(trial.values[0])}
    try:
        epochs = tuple(step + shift for step in points)
        curve = LearningCurve("value", epochs, tuple(sign * value for value in points.values()))
    except ValueError:  # a value beyond what a curve holds
        curve = LearningCurve("value", (), ())
    return curve, state if len(curve) else State.FAILED


def _drawn(seed: int | None) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) % 2**31
