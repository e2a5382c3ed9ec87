"""A search that starts where past searches ended.

The nearest tasks' trials say what to try first and feed the sampler; workers run trial
after trial, of which any may be stopped early; what ended goes to the store, then to the
study, then to MLflow. Everything is kept in the study, so a search goes on where it was,
whenever and however it ended before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Trial
from metadata_store.store import MetadataStore
from metanas.protocols import SearchSpace
from metanas.search.priors import best_sources, enqueue
from metanas.search.record import Ran, merit, ran, source_of
from metanas.search.storage import patiently
from metanas.search.study import Plan
from metanas.tracking import Identity, MlflowSink, RunGone
from tasks.similarity import Neighbour

if TYPE_CHECKING:
    import optuna

START = "metanas:start"
"""Attribute of a study: its first run's settings, and what that learned from."""

RESUMED = "metanas:resumed:"
"""And those of a later run: the attribute ends with the number of the trial it began at.

Why one each: several processes may resume a study at once, and none overwrites another's.
"""

LEARNERS = ("sampler", "pruner", "priors")
"""What in a search may learn from other tasks."""

PARENT = "metanas:mlflow:"
"""Attributes of a study: its runs in MLflow, the id in the name; the value is the URI.

Why one each: two processes may open one at once, and none overwrites another's. In one MLflow
the run of smallest id is the study's, and all come to log there.
"""

PARENTS = "metanas:mlflow"
"""Earlier versions kept URI and id of each run here, once those of the one run."""


@dataclass(frozen=True)
class Search:
    """A search as it stands.

    Attributes:
        study: its name.
        best: of the completed trials the one of highest score, None where there is none.
        front: the completed trials that no other beats in all objectives, by number; with
            one objective the best.
        trials: those that ended, by number.
        neighbours: tasks that the last run which learned did learn from, and how near each
            is; weights sum to 1. Empty for a cold start.
        learned: what in any run learned from other tasks, some of `LEARNERS`; empty where that
            is not known.
        priors: how many of their architectures were tried first.
        settings: of the first run, to be shown.
        changes: settings that a later run had otherwise than the one before, by the number of
            the trial it began at.
    """

    study: str
    plan: Plan
    best: Ran | None
    front: tuple[Ran, ...]
    trials: tuple[Ran, ...]
    neighbours: tuple[Neighbour, ...]
    learned: tuple[str, ...]
    priors: int
    settings: Mapping[str, str]
    changes: Mapping[int, Mapping[str, str]]

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.plan.objectives) > 1

    @property
    def further(self) -> tuple[str, ...]:
        """Objectives besides the score, without their signs."""
        return tuple(name.removeprefix("-") for name in self.plan.objectives if name != "score")

    def costs(self, each: Ran) -> tuple[float, ...]:
        """A trial's values of `further`, NaN where it was not completed."""
        values = self.values(each)
        names = (name for name in self.plan.objectives if name != "score")
        return tuple(values.get(name, math.nan) for name in names)

    def values(self, each: Ran) -> dict[str, float]:
        """A trial's objectives by name; empty where it was not completed."""
        if not each.objectives:
            return {}
        return dict(zip(self.plan.objectives, each.objectives, strict=True))

    @property
    def epochs_used(self) -> int:
        """Epochs of all trials."""
        return sum(each.epochs for each in self.trials)


def begin(
    study: optuna.Study,
    space: SearchSpace,
    *,
    neighbours: Sequence[Neighbour],
    sources: Trials,
    priors: int,
    learners: Sequence[str],
    settings: Mapping[str, str],
    whole: bool = True,
) -> None:
    """Notes in a study what this run of it learns from; puts priors at a new one's front.

    Args:
        learners: what learns from the sources besides the priors, some of `LEARNERS`.
        settings: of the search, to be shown.
        whole: whether a run begins, and not only one of its workers.
    """
    noted: dict[str, Any] = {
        "neighbours": [[each.task, each.distance, each.weight] for each in neighbours],
        "learned": list(learners),
        "settings": dict(settings),
    }
    start = patiently(lambda: study.user_attrs).get(START)
    if start is not None:
        if whole:
            number = _next(patiently(lambda: study.get_trials(deepcopy=False)))
            if number < start["priors"]:  # they are the first trials, and some still wait
                noted["learned"].append("priors")
            patiently(lambda: study.set_user_attr(f"{RESUMED}{number}", noted))
        return
    weights = {each.task: each.weight for each in neighbours}
    first = best_sources(sources, space, weights, priors) if len(sources) else []
    enqueue(study, space, first)
    if first:
        noted["learned"].append("priors")
    patiently(lambda: study.set_user_attr(START, {**noted, "priors": len(first)}))


def _next(trials: Sequence[FrozenTrial]) -> int:
    """The number of the trial that begins next: one that waits, else a new one."""
    waiting = [each.number for each in trials if each.state is TrialState.WAITING]
    return min(waiting, default=len(trials))


def _runs(attributes: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """What is noted of each run, by the number of the trial it began at, in order."""
    if START not in attributes:
        return {}
    later = {
        int(name.removeprefix(RESUMED)): noted
        for name, noted in attributes.items()
        if name.startswith(RESUMED)
    }
    return dict(sorted({0: attributes[START], **later}.items()))


def result(study: optuna.Study) -> Search:
    """What a study found so far.

    Raises:
        ValueError: metanas did not make it.
    """
    attributes = patiently(lambda: study.user_attrs)
    trials = tuple(patiently(lambda: ran(study)))
    plan = Plan.of(study)
    if plan is None:
        raise ValueError(f"study {study.study_name!r} was not made by metanas")
    scored = [each for each in trials if each.score is not None]
    front = _front(scored, plan)
    begun = max((each.number for each in trials), default=-1)
    # A run that began no trial has changed nothing.
    runs = {at: run for at, run in _runs(attributes).items() if at == 0 or at <= begun}
    # Studies of earlier versions do not say what learned.
    taught = [run for run in runs.values() if run.get("learned", True)]
    return Search(
        study=study.study_name,
        plan=plan,
        # Of equal scores one that the others do not beat in the further objectives.
        best=max(front, key=merit, default=None),
        front=front,
        trials=trials,
        neighbours=tuple(Neighbour(*each) for each in (taught[-1]["neighbours"] if taught else ())),
        learned=tuple(
            each for each in LEARNERS if any(each in run.get("learned", ()) for run in taught)
        ),
        priors=int(attributes.get(START, {}).get("priors", 0)),
        settings=runs[0]["settings"] if runs else {},
        changes={
            at: changed
            for (_, before), (at, run) in pairwise(runs.items())
            if (changed := _changed(before["settings"], run["settings"]))
        },
    )


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    names = [*now, *(name for name in before if name not in now)]
    told = {name: now.get(name, "default") for name in names}
    return {
        name: value
        for name, value in told.items()
        # Earlier versions noted "default" for what they chose: it may be the same.
        if value != before.get(name, "default")
        and not any(noted.get(name) == "default" for noted in (before, now))
    }


def _front(trials: Sequence[Ran], plan: Plan) -> tuple[Ran, ...]:
    """Those that no other beats, by number; with one objective the best, the first of equals."""
    if not trials or len(plan.objectives) == 1:
        return tuple(sorted(trials, key=merit, reverse=True)[:1])
    signs = [-1.0 if name.startswith("-") else 1.0 for name in plan.objectives]
    points = np.array([each.objectives for each in trials]) * signs  # (trials, objectives)
    # By the first objective, of equals by the next: a point is only beaten by one before it.
    left = np.lexsort(-points.T[::-1])
    found: list[int] = []
    while len(left):
        first, left = left[0], left[1:]
        found.append(int(first))
        left = left[~_beats(points[first], points[left])]
    return tuple(trials[place] for place in sorted(found))


def _beats(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which it beats: it is at least as good in all objectives, and better in one."""
    return np.asarray((one >= others).all(axis=1) & (one > others).any(axis=1))


class SearchLog:
    """A search in MLflow: one run for it, and under that a run a trial.

    What MLflow holds is read from under that run, so that nothing is logged twice,
    whichever process logged and whenever it was killed. Studies of other stores may have
    the same name, and be logged to the same MLflow.

    Args:
        store: has the trials.
        sink: says where.
    """

    def __init__(self, study: optuna.Study, store: MetadataStore, sink: MlflowSink) -> None:
        self._study = study
        self._store = store
        self._sink = sink
        self._parent: MlflowSink | None = None
        self._ended: set[Identity] = set()
        self._gone: set[str] = set()

    @property
    def run(self) -> str | None:
        """Id of the search's run, None where there is none yet."""
        return None if self._parent is None else self._parent.parent

    def push(self) -> int:
        """Logs the study's trials that MLflow lacks; says how many.

        One that was cut off while it was logged waits for a push minutes later.

        Raises:
            TrackingError: MLflow cannot be reached or refuses.
        """
        self._join()
        missing, pushed = self._missing(), 0
        while missing and self._parent is not None:
            trial, tags = missing.pop(0)
            # Another process may go on with the same study: look just before.
            found = self._parent.logged(trial)
            if trial.identity not in found:
                self._parent.log(trial, tags=tags)
                pushed += 1
            if found.get(trial.identity, True):
                self._ended.add(trial.identity)
            if self._join():
                missing, pushed = self._missing(), 0
        return pushed

    def finish(self) -> int:
        """The same, and closes the search's run."""
        pushed = self.push()
        if self._parent is not None:
            self._parent.finish()
        return pushed

    def _join(self) -> bool:
        """Goes under the study's run, made if there is none; says whether it was elsewhere."""
        before = self._parent
        first = self._first()
        if first is None:
            first = self._made()
        elif first is not before and before is not None:
            before.discard()
        if first is before:
            return False
        self._parent = first
        self._ended = {each for each, ended in first.logged().items() if ended}
        return True

    def _first(self) -> MlflowSink | None:
        """Of the study's runs that this MLflow has, whatever its address then, that to log to."""
        for run in sorted(self._runs() - self._gone):
            if run == self.run:
                return self._parent
            try:
                return self._sink.under(run)
            except RunGone:
                self._gone.add(run)
        return None

    def _made(self) -> MlflowSink:
        known = self._runs()
        settings = patiently(lambda: self._study.user_attrs).get(START, {}).get("settings", {})
        made = self._sink.start(self._study.study_name, settings)
        own = str(made.parent)
        patiently(lambda: self._study.set_user_attr(f"{PARENT}{own}", self._sink.uri))
        for run in sorted(self._runs() - known - {own}):  # opened elsewhere meanwhile
            with suppress(RunGone):
                other = self._sink.under(run)
                if run < own:
                    made.discard()
                    return other
                # Its process may have ended already.
                other.discard()
        return made

    def _runs(self) -> set[str]:
        """Ids, of runs in any MLflow."""
        attributes = patiently(lambda: self._study.user_attrs)
        earlier: list[Any] = attributes.get(PARENTS, [])
        if earlier and isinstance(earlier[0], str):
            earlier = [earlier]
        later = {name.removeprefix(PARENT) for name in attributes if name.startswith(PARENT)}
        return later | {run for _, run in earlier}

    def _missing(self) -> list[tuple[Trial, dict[str, str]]]:
        """The trials to log, with their tags."""
        tags = self._tags()
        return [
            (each, tags[each.identity[1:3]])
            for each in self._trials()
            if each.identity not in self._ended and each.identity[1:3] in tags
        ]

    def _trials(self) -> list[Trial]:
        plan = Plan.of(self._study)
        tasks = None if plan is None else [plan.task]
        batch = patiently(lambda: self._store.batch(tasks=tasks))
        return list(batch.where(source=source_of(self._study.study_name)))

    def _tags(self) -> dict[tuple[Architecture, int], dict[str, str]]:
        """What the study knows of each trial that ended, the first of equal replays."""
        return {
            (each.architecture, each.seed): {
                "metanas.study": self._study.study_name,
                "metanas.number": str(each.number),
                **({"metanas.reason": each.reason} if each.reason else {}),
            }
            for each in reversed(patiently(lambda: ran(self._study)))
        }
