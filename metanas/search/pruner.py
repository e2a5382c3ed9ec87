"""LCRankNet as an Optuna pruner: stops a run unlikely to beat the best finished one.

Learns from the store once, when the first run has finished, and from the study whenever it
is asked: what it knows of the study is rebuilt from the study's trials, so that any number of
workers on any storage agree, and nothing is lost when one dies. Where the store has nothing
to compare with, or the study's values lie far from the store's, only the study's own finished
runs count, and nothing is stopped before some have finished.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task
from metadata_store.store import MetadataStore
from metanas.protocols import SearchSpace
from metanas.rankers.curve_table import OUTCOMES
from metanas.rankers.lcranknet import LCRankNet
from metanas.rankers.live import LiveSearch
from metanas.rankers.lone import LoneSearch
from metanas.search.study import Plan, standing
from metanas.search.study_space import SpaceNames, trained
from metanas.spaces import space_of

log = logging.getLogger(__name__)

EXPLANATION = "lcranknet"
"""User attribute of a stopped trial: ``probability``, ``epochs``, ``left``, ``best``, ``delta``,
``text``."""


class LCRankPruner(BasePruner):
    """Stops a run whose chance to beat the best finished run is not worth what is left of it.

    That is, when the chance is at most a threshold times the share of the run that is still
    to be trained: the same chance costs less the further a run has come.

    Works in any study of one objective, maximised or minimised, whose trials report
    intermediate values.

    Args:
        store: what is learned from, once; or trials themselves.
        task: its name or record. Its own trials in the store are not learned from.
        space: of the study's architectures; by default that space in the store whose choices
            have the names of the study's parameters. Trials that were not asked for a choice
            that all sources have are judged without sources.
        risk: the threshold is chosen so that among searches simulated on the sources at
            most this share would stop their best run and all that are as good but for chance.
        delta: the threshold itself instead. Without sources it is `risk`.
        epochs: of a whole run; by default those of the study's finished runs, before that
            the sources'.
        outcome: what a run is worth: its best value ("score") or its last ("final").
        startup: finished runs of the study before anything is stopped, where no sources help.
        seed: of learning.
        make: gives the ranker, which is not fitted yet.
    """

    def __init__(
        self,
        store: MetadataStore | Trials,
        task: str | Task,
        space: SearchSpace | None = None,
        *,
        risk: float = 0.05,
        delta: float | None = None,
        epochs: int | None = None,
        outcome: str = "score",
        startup: int = 4,
        seed: int = 0,
        make: Callable[..., LCRankNet] = LCRankNet,
    ) -> None:
        if not 0.0 <= risk < 1.0:
            raise ValueError(f"a risk lies in [0, 1), got {risk}")
        if delta is not None and not 0.0 <= delta <= 1.0:
            raise ValueError(f"delta is a probability, got {delta}")
        if epochs is not None and epochs < 1:
            raise ValueError(f"a run takes at least one epoch, got {epochs}")
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
        if startup < 2:
            raise ValueError(f"need at least two finished runs to start, got {startup}")
        self._store: MetadataStore | Trials | None = store
        self._make = make
        self._task = task if isinstance(task, str) else task.name
        self._space = space
        self._risk, self._delta, self._epochs = risk, delta, epochs
        self._outcome, self._startup, self._seed = outcome, startup, seed
        self._ranker: LCRankNet | None = None
        self._looked = False
        self._named: SpaceNames | None = None
        self._needed: frozenset[str] = frozenset()
        self._followed: dict[object, _Followed] = {}
        self._lock = threading.Lock()  # a study may run trials in threads

    def __getstate__(self) -> Mapping[str, Any]:
        # What has been learned from is not asked again.
        kept = {**self.__dict__, "_followed": {}, "_store": None if self._looked else self._store}
        del kept["_lock"]
        return kept

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to stop a trial; one that is stopped gets the attribute `EXPLANATION`."""
        if not trial.intermediate_values:
            return False
        with self._lock:
            found = self._judged(study, trial)
        if found is None or found["probability"] > found["delta"] * found["left"]:
            return False
        study._storage.set_trial_user_attr(trial._trial_id, EXPLANATION, found)
        return True

    def _judged(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any] | None:
        """The chance that a trial beats the best, with what it rests on; None for unknown."""
        trials = standing(study.get_trials(deepcopy=False))
        if not any(each.state == TrialState.COMPLETE for each in trials):
            return None  # nothing to beat, and learning may take a minute
        ranker = self._learned(trial)
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        total = self._epochs or _epochs_of(trials)
        # Another study may have the name of one that is gone, but has not begun with it.
        begun = min((each.datetime_start for each in trials if each.datetime_start), default=None)
        key = study.study_name, begun, total, ranker is None
        followed = self._followed.get(key)
        if followed is None:
            # The length of a run shows when the first has finished: then all is read anew.
            told = Plan.of(study) is not None
            followed = _Followed(
                ranker, self._task, total, self._outcome, self._startup, sign, told
            )
            self._followed = {key: followed}
        known = [each for each in trials if each.number != trial.number]
        followed.update([*known, trial], self._architecture)
        search, informed = followed.judge(trial.number)
        probability = search.chance(trial.number)
        if probability is None:
            return None
        delta = self._delta
        if delta is None:
            delta = ranker.threshold(self._risk) if informed and ranker else self._risk
        best = sign * followed.best
        epochs = len(trial.intermediate_values)
        left = search.left(trial.number)
        text = (
            f"chance {probability:.2g} to beat {best:.6g} after {epochs} reported values, with "
            f"{left:.0%} of the run left (stopped at {delta:.2g} of that or less)"
        )
        return {
            "probability": probability,
            "epochs": epochs,
            "left": left,
            "best": best,
            "delta": delta,
            "text": text,
        }

    def _learned(self, trial: FrozenTrial) -> LCRankNet | None:
        """The ranker of the study's space; None as long as the store knows no such space."""
        if self._looked:
            return self._ranker
        self._space, known = self._sources(trial)
        if self._space is None:
            # Not for good: a trial may report before it has asked for all its parameters.
            return None
        log.info("learning from %d past curves", len(known))
        rows = [frozenset(each.choices) for each in known.architectures]
        self._needed = frozenset.intersection(*rows) if rows else frozenset()
        ranker = self._make(space=self._space, seed=self._seed, outcome=self._outcome)
        self._ranker = ranker.fit(known, {})
        self._looked = True
        return self._ranker

    def _sources(self, trial: FrozenTrial) -> tuple[SearchSpace | None, Trials]:
        """The space, and other tasks' trials in it."""
        if self._store is None:
            raise ValueError("need a store to learn from, got none")
        store = self._store

        def others(name: str) -> Trials:
            whole = (
                store.where(space=name) if isinstance(store, Trials) else store.batch(space=name)
            )
            return _without(whole, self._task)

        if self._space is not None:
            return self._space, others(self._space.name)
        read: dict[str, Trials] = {}
        if self._named is None:
            spaces = store.present("space") if isinstance(store, Trials) else store.info().spaces
            read = {name: others(name) for name in spaces}
            self._named = SpaceNames.of(read)
        name = self._named.alike(trial.params)
        if name is None:
            return None, Trials.of([])
        found = read[name] if name in read else others(name)
        return space_of(found, name), found

    def _architecture(self, trial: FrozenTrial, told: bool) -> Architecture | None:
        """What a trial trains, None where it is not of the space."""
        if self._space is None:
            return None
        names = list(self._space.domain)
        try:
            architecture = trained(self._space.name, trial, names, told=told)
        except ValueError:
            return None
        return architecture if self._needed <= set(architecture.choices) <= set(names) else None


@dataclass
class _Followed:
    """A study as far as it has been read.

    Attributes:
        sign: 1 where higher values are better, else -1.
        told: whether metanas made the study, see `metanas.search.study_space.trained`.
    """

    ranker: LCRankNet | None
    task: str
    epochs: int | None
    outcome: str
    startup: int
    sign: float
    told: bool
    read: dict[int, tuple[int, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lone = LoneSearch(self.outcome, startup=self.startup)
        self.informed: LiveSearch | None = None
        if self.ranker is not None and self.ranker.prior is not None:
            self.informed = self.ranker.live(self.task, epochs=self.epochs)
        self._strangers: set[int] = set()

    @property
    def best(self) -> float:
        """The best finished run, higher is better."""
        best = self.lone.best
        return math.nan if best is None else best

    def update(self, trials: Sequence[FrozenTrial], architecture: Any) -> None:
        """Takes in what is new."""
        for trial in trials:
            points = trial.intermediate_values
            state = len(points), trial.state == TrialState.COMPLETE
            before = self.read.get(trial.number)
            if not points or state == before:
                continue
            self.read[trial.number] = state
            steps = sorted(points)
            shift = 1 if steps[0] == 0 else 0
            epochs = [step + shift for step in steps]
            values = [self.sign * points[step] for step in steps]
            if before is None:
                self.lone.add(trial.number, None)
            if before is None or trial.number in self._strangers:
                self._begin(trial.number, architecture(trial, self.told))
            for search in self._searches(trial.number):
                search.extend(trial.number, epochs, values)
                if state[1]:
                    search.finish(trial.number)

    def judge(self, number: int) -> tuple[LiveSearch, bool]:
        """What knows most of a trial, and whether that is sources."""
        if self.informed is not None and number not in self._strangers and self.informed.fits:
            return self.informed, True
        return self.lone, False

    def _begin(self, number: int, architecture: Architecture | None) -> None:
        if self.informed is None:
            return
        if architecture is None:
            self._strangers.add(number)
        else:
            self._strangers.discard(number)
            self.informed.add(number, architecture)

    def _searches(self, number: int) -> list[LiveSearch]:
        if self.informed is None or number in self._strangers:
            return [self.lone]
        return [self.lone, self.informed]


def explanation(trial: FrozenTrial | optuna.Trial) -> str:
    """Why `LCRankPruner` stopped a trial; "" where it did not."""
    return str(trial.user_attrs.get(EXPLANATION, {}).get("text", ""))


def _epochs_of(trials: Sequence[FrozenTrial]) -> int | None:
    """Of most finished runs, more where two lengths are as frequent; None where none has."""
    lasts = [
        max(each.intermediate_values) + (0 in each.intermediate_values)
        for each in trials
        if each.state == TrialState.COMPLETE and each.intermediate_values
    ]
    counts = Counter(lasts)
    return max(counts, key=lambda last: (counts[last], last), default=None)


def _without(trials: Trials, task: str) -> Trials:
    """The trials of other tasks."""
    names = trials.names("task")
    return trials if task not in names else trials.take(trials.codes("task") != names.index(task))
