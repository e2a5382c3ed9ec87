"""A study that any number of workers share, and that outlives them.

A trial counts once it has ended, however it ended; running ones hold a place. No more
than the budget ever run: a trial's place is the number of those before it, and one that
finds the budget taken withdraws. A trial whose worker is gone is closed as lost, which
does not count, and tried again from its last epoch; one that took three workers with it
counts as failed.

Why not Optuna's own loop and heartbeat: it counts the trials a process began, not those
that ended, and calls a killed one failed only after a while.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metanas.search.owner import Owner
from metanas.search.storage import at_once, patiently

PLAN = "metanas:plan"
"""Attribute of a study: what it searches for."""

OWNER, BEAT, LOST, ATTEMPT = "metanas:owner", "metanas:beat", "metanas:lost", "metanas:attempt"
ARCHITECTURE, SEED, RESULT = "architecture", "seed", "metanas:result"
"""Attributes of a trial: JSON of its choices, seed of its training, `metanas.search.record`."""

ATTEMPTS = 3
"""A trial that loses so many workers is to blame itself."""

MAKER_WAIT = 5.0
"""Seconds for a new study to be told its plan, where its maker cannot do both at once."""

NAMES = re.compile(r"[\w.:+-]+")


class UnknownStudy(ValueError):
    """No study of that name is kept beside the store."""


@dataclass(frozen=True)
class Plan:
    """What makes two searches the same, so that one may go on with the other's trials.

    Attributes:
        task, space: their names.
        objectives: as given, e.g. ("score", "-params").
        recipe: how an architecture is measured, as text.
    """

    task: str
    space: str
    objectives: tuple[str, ...]
    recipe: str

    @classmethod
    def of(cls, study: optuna.Study) -> Plan | None:
        """The plan of a study; None where metanas did not make it."""
        # Hyperband shows samplers a part of a study, without its attributes.
        told = study._storage.get_study_user_attrs(study._study_id).get(PLAN)
        if told is None:
            return None
        return cls(**{**told, "objectives": tuple(told["objectives"])})

    @property
    def directions(self) -> list[StudyDirection]:
        """One an objective."""
        kinds = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
        return [kinds[name.startswith("-")] for name in self.objectives]


def open_study(
    storage: optuna.storages.BaseStorage,
    name: str,
    plan: Plan,
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """The study of that name, made if there is none.

    Raises:
        ValueError: its name cannot be one, it searches for something else, or another
            program made it.
    """
    if not NAMES.fullmatch(name):
        raise ValueError(f"a study's name is made of letters, digits and . _ : + -, got {name!r}")

    patiently(lambda: _create(storage, name, plan))
    return _opened(storage, name, plan, sampler, pruner)


def new_study(
    storage: optuna.storages.BaseStorage,
    plan: Plan,
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
    *,
    taken: Collection[str] = (),
) -> optuna.Study:
    """A study made now, under a name that no other has.

    Args:
        taken: names that it must not have, besides those of the studies that there are.
    """

    def made() -> str | None:
        name = unused_name(plan.task, {*study_names(storage), *taken})
        # If not, another process took the name just now.
        return name if _create(storage, name, plan) else None

    while (name := patiently(made)) is None:
        pass
    return _opened(storage, name, plan, sampler, pruner)


def _create(storage: optuna.storages.BaseStorage, name: str, plan: Plan) -> bool:
    """Makes a study with its plan; False if there is one of that name.

    Why at once: a study without a plan could not be told from another program's, and only
    its maker may give it one, or two searches would share it under different plans.
    """
    told = {**vars(plan), "objectives": list(plan.objectives)}
    try:
        with at_once(storage):
            number = storage.create_new_study(plan.directions, name)
            storage.set_study_user_attr(number, PLAN, told)
    except DuplicatedStudyError:
        return False
    return True


def _opened(
    storage: optuna.storages.BaseStorage,
    name: str,
    plan: Plan,
    sampler: optuna.samplers.BaseSampler | None,
    pruner: optuna.pruners.BasePruner | None,
) -> optuna.Study:
    """A study that there is.

    Raises:
        ValueError: it searches for something else, or another program made it.
    """

    def loaded() -> optuna.Study:
        return optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)

    study = patiently(loaded)
    give_up = time.monotonic() + MAKER_WAIT
    while (known := patiently(lambda: Plan.of(study))) is None:
        if time.monotonic() > give_up or patiently(lambda: study.get_trials(deepcopy=False)):
            raise ValueError(
                f"study {name!r} was made by another program; choose another name with --study"
            )
        time.sleep(0.1)
    for field, wanted in vars(plan).items():
        if (was := getattr(known, field)) != wanted:
            raise ValueError(
                f"study {name!r} has {field} {_told(was)} and cannot go on with {_told(wanted)}; "
                f"choose another name"
            )
    return study


def _told(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def standing(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """All but lost and withdrawn trials: those that hold a place or will."""
    return [each for each in trials if LOST not in each.user_attrs]


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that ended."""
    return [each for each in standing(trials) if each.state.is_finished()]


def claim(study: optuna.Study, budget: int) -> optuna.Trial | None:
    """A trial for this process to run; None where all places are taken for now."""
    trials = patiently(lambda: study.get_trials(deepcopy=False))
    begun = [each for each in standing(trials) if each.state is not TrialState.WAITING]
    if len(begun) >= budget:
        return None
    trial: optuna.Trial = patiently(study.ask)
    owner = Owner.here().text
    patiently(lambda: trial.set_user_attr(OWNER, owner))
    trials = patiently(lambda: study.get_trials(deepcopy=False))
    place = sum(each.number < trial.number for each in standing(trials))
    if place < budget:
        return trial
    close_lost(study, trial._trial_id, "withdrawn: the budget is taken")
    return None


def attempt_of(trial: FrozenTrial | optuna.Trial) -> int:
    """How many workers have begun this before."""
    return int(trial.user_attrs.get(ATTEMPT, 0))


def close_lost(study: optuna.Study, trial_id: int, reason: str) -> bool:
    """Closes a running trial so that it does not count; False if another process was faster."""
    storage = study._storage
    try:
        patiently(lambda: storage.set_trial_user_attr(trial_id, LOST, reason))
        return patiently(lambda: storage.set_trial_state_values(trial_id, TrialState.FAIL))
    except UpdateFinishedTrialError:
        return False


def requeue(study: optuna.Study, trial: FrozenTrial, reason: str, *, blamed: bool) -> None:
    """Closes a running trial as lost and puts the same architecture and seed at the queue's end.

    Args:
        blamed: whether this counts among its `ATTEMPTS`.
    """
    if not close_lost(study, trial._trial_id, reason):
        return
    # One that was killed before it had a seed is known by what it was queued with.
    if SEED not in trial.user_attrs and not fixed_params(trial):
        return
    attributes = {
        name: trial.user_attrs[name] for name in (ARCHITECTURE, SEED) if name in trial.user_attrs
    }
    attributes[ATTEMPT] = attempt_of(trial) + blamed
    # One that was killed early has not been asked for all that it was queued with.
    params = {**fixed_params(trial), **trial.params}
    patiently(lambda: study.enqueue_trial(params, attributes))


def fixed_params(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters that a trial was queued with."""
    return dict(trial.system_attrs.get("fixed_params", {}))


def seed_for(trials: Sequence[FrozenTrial], number: int, text: str, first: int) -> int:
    """The seed of a training: another one each time an architecture is tried again.

    Why: the same seed would give the same curve and be no further measurement.

    Ask only when the study knows that this trial runs this architecture. Of two workers
    that come upon one at once each then sees the other or is seen, so that never both
    take `first`; the others' seeds follow from their numbers, and so differ.

    Args:
        number: of the trial.
        text: the architecture, as `Architecture.json`.
        first: where no other trial has the architecture.
    """
    again = any(
        each.number != number and each.user_attrs.get(ARCHITECTURE) == text
        for each in standing(trials)
    )
    return (first + 1 + number if again else first) % 2**31


def known_study(storage: optuna.storages.BaseStorage, name: str) -> optuna.Study:
    """A study that metanas made.

    Raises:
        UnknownStudy: there is none of that name.
    """
    names = planned_names(storage)
    if name in names:
        return patiently(lambda: optuna.load_study(study_name=name, storage=storage))
    near = get_close_matches(name, names, n=3, cutoff=0.5) or names[:3]
    hint = f"there are {', '.join(near)}" if near else "the store has no studies"
    raise UnknownStudy(f"no study {name!r}; {hint}")


def recipe_of(storage: optuna.storages.BaseStorage, name: str) -> Mapping[str, Any] | None:
    """How a study measures architectures; None where metanas has made none of that name."""
    if name not in planned_names(storage):
        return None
    plan = patiently(lambda: Plan.of(known_study(storage, name)))
    return None if plan is None else dict(json.loads(plan.recipe))


def study_names(storage: optuna.storages.BaseStorage) -> list[str]:
    """Of all studies in the storage."""
    return patiently(lambda: sorted(optuna.get_all_study_names(storage)))


def planned_names(storage: optuna.storages.BaseStorage) -> list[str]:
    """Of the studies that metanas made: others may keep theirs in the same storage."""
    studies = patiently(storage.get_all_studies)
    return sorted(each.study_name for each in studies if PLAN in each.user_attrs)


def trials_begun(storage: optuna.storages.BaseStorage, name: str) -> int:
    """How many trials a study has, however they ended; 0 where there is no such study."""
    if name not in study_names(storage):
        return 0
    study = patiently(lambda: optuna.load_study(study_name=name, storage=storage))
    return len(patiently(lambda: study.get_trials(deepcopy=False)))


def unused_name(task: str, taken: Collection[str]) -> str:
    """A name for a new study on a task: the task's and the first free number."""
    stem = "".join(letter if NAMES.fullmatch(letter) else "_" for letter in task)
    return next(name for n in range(1, len(taken) + 2) if (name := f"{stem}-{n}") not in taken)


def as_json(value: Mapping[str, Any]) -> str:
    """Canonical text of what a recipe holds."""
    return json.dumps(value, sort_keys=True)
