"""What a worker does: trial after trial, until the budget is spent.

A trial that ends is written to the store first and then told to the study. A worker
killed in between leaves a trial that is tried again, found in the store, and told from
there; so nothing is lost and nothing counted twice. What only replays a record that the
study has replayed before is told alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from metadata_store.errors import StoreError
from metadata_store.records import Architecture, LearningCurve, Task, Trial
from metadata_store.records import TrialState as State
from metadata_store.store import MetadataStore
from metanas.protocols import SearchSpace
from metanas.search.measured import Measure
from metanas.search.objective import Interrupted, Outcome, evaluate
from metanas.search.record import ENDS, as_trial, source_of, told
from metanas.search.storage import patiently
from metanas.search.study import (
    ARCHITECTURE,
    ATTEMPTS,
    OWNER,
    RESULT,
    SEED,
    attempt_of,
    claim,
    counted,
    requeue,
    seed_for,
    standing,
)
from metanas.search.watch import Watch, beating

PAUSE = 0.5
"""Seconds between two looks for a free place."""


@dataclass(frozen=True)
class Work:
    """One worker's share in a study.

    Attributes:
        objectives: as in `metanas.search.study.Plan`.
        budget: trials of the study that may end in all.
        seed: of the first training of an architecture.
        interrupted: asked between epochs and trials; on yes the running trial is left to
            others, to go on from its last epoch.
        on_epoch: told the epoch and its value.
    """

    space: SearchSpace
    task: Task
    store: MetadataStore
    measure: Measure
    objectives: tuple[str, ...]
    budget: int
    seed: int = 0
    interrupted: Callable[[], bool] = lambda: False
    on_epoch: Callable[[int, float], None] = lambda epoch, value: None
    on_trial: Callable[[], None] = lambda: None


def work(study: optuna.Study, share: Work) -> None:
    """Runs trials until the study's budget is spent, or until interrupted.

    Raises:
        StoreError: a database stays out of reach.
        KeyboardInterrupt: raised from outside; the running trial is left to others.
    """
    watch = Watch()
    while not share.interrupted():
        for lost in watch.lost(study):
            _adopt(study, share, lost)
        trial = claim(study, share.budget)
        if trial is not None:
            _run(study, share, trial)
            share.on_trial()
        elif _spent(study, share.budget):
            return
        else:
            time.sleep(PAUSE)


def _spent(study: optuna.Study, budget: int) -> bool:
    """Whether the budget's trials have ended, and none is left that has no worker's name.

    A connection that breaks as a trial begins leaves one that would count as running for ever.
    It is waited for, some seconds, until `Watch` gives it up.
    """
    trials = patiently(lambda: study.get_trials(deepcopy=False))
    nameless = any(
        each.state is TrialState.RUNNING and OWNER not in each.user_attrs
        for each in standing(trials)
    )
    return len(counted(trials)) >= budget and not nameless


def _run(study: optuna.Study, share: Work, trial: optuna.Trial) -> None:
    again = SEED in trial.user_attrs
    try:
        architecture = patiently(lambda: share.space.suggest(trial))
        seed = _named(study, share, trial, architecture)
        known = _known(study, share, architecture, seed) if again else None
        if known is not None:
            _end(study, share, trial, architecture, seed, known)
            return
        with beating(study, trial):
            outcome = evaluate(
                trial,
                architecture,
                share.task,
                share.measure,
                seed=seed,
                prunable=len(share.objectives) == 1,
                interrupted=share.interrupted,
                on_epoch=share.on_epoch,
            )
        _end(study, share, trial, architecture, seed, outcome)
    except UpdateFinishedTrialError:
        # A worker long unheard of counts as gone, see `Watch`; another goes on with its trial.
        logging.getLogger(__name__).info("trial %d was taken over", trial.number)
    except StoreError:
        raise  # nothing can be said to the study
    except BaseException as error:
        blamed = isinstance(error, Exception) and not isinstance(error, Interrupted)
        requeue(study, _frozen(study, trial), type(error).__name__, blamed=blamed)
        if not isinstance(error, Interrupted):
            raise


def _named(
    study: optuna.Study, share: Work, trial: optuna.Trial, architecture: Architecture
) -> int:
    """Notes what the trial runs, so that another worker can go on with it."""
    seed = trial.user_attrs.get(SEED)
    patiently(lambda: trial.set_user_attr(ARCHITECTURE, architecture.json))
    if seed is None:
        trials = patiently(lambda: study.get_trials(deepcopy=False))
        seed = seed_for(trials, trial.number, architecture.json, share.seed)
    patiently(lambda: trial.set_user_attr(SEED, seed))
    return int(seed)


def _known(
    study: optuna.Study, share: Work, architecture: Architecture, seed: int
) -> Outcome | None:
    """What an earlier attempt had stored before it was killed."""
    identity = (share.task.name, architecture, seed, source_of(study.study_name))
    batch = patiently(lambda: share.store.batch(tasks=[share.task.name], space=share.space.name))
    for each in batch.where(source=identity[3]):
        if each.identity == identity:
            return Outcome(each.state, each.curve, each.seconds, each.extras)
    return None


def _end(
    study: optuna.Study,
    share: Work,
    trial: optuna.Trial,
    architecture: Architecture,
    seed: int,
    outcome: Outcome,
) -> None:
    """Into the store, then into the study."""
    values = [outcome.objective(name) for name in share.objectives]
    if outcome.state is State.COMPLETED and None in values:
        missing = share.objectives[values.index(None)].removeprefix("-")
        outcome = Outcome(
            State.FAILED, outcome.curve, outcome.seconds, outcome.extras, f"has no {missing}"
        )
    record = as_trial(outcome, study.study_name, share.task, architecture, seed)
    # Only one tried before has another seed, see `seed_for`.
    again = share.measure.replays and seed != share.seed
    same = _replayed(share, record) if again else None
    if same is None and not patiently(lambda: share.store.add_trials([record])):
        _tell_unkept(study, share, trial.number, record)
    reason = outcome.reason
    if outcome.state is State.STOPPED:
        reason = _explained(_frozen(study, trial))
    if outcome.state is State.FAILED:
        logging.getLogger(__name__).warning("trial %d failed: %s", trial.number, reason)
    kept = told(outcome, reason, seed if same is None else same.seed)
    end = ENDS[outcome.state]
    numbers = [float(value) for value in values if value is not None]
    try:
        patiently(lambda: trial.set_user_attr(RESULT, kept))
        patiently(
            lambda: study.tell(
                trial, numbers if end is TrialState.COMPLETE else None, end, skip_if_finished=True
            )
        )
    except optuna.exceptions.UpdateFinishedTrialError:
        # Another worker had given this one up and goes on with the trial: it finds the
        # result in the store.
        logging.getLogger(__name__).info("trial %d was taken over", trial.number)


def _tell_unkept(study: optuna.Study, share: Work, number: int, record: Trial) -> None:
    """Warns where the store knows the trial otherwise, say imported from another's search.

    What an earlier attempt, or this one before a connection broke, had stored is the same.
    """
    kept = _known(study, share, record.architecture, record.seed)
    if kept is not None and (kept.state, kept.curve) != (record.state, record.curve):
        logging.getLogger(__name__).warning(
            "trial %d is not stored: the store has another of the same architecture and seed "
            "from a search %r, and keeps that",
            number,
            study.study_name,
        )


def _replayed(share: Work, record: Trial) -> Trial | None:
    """The study's stored trial that replayed the same; kept twice it would pass for two."""
    batch = patiently(lambda: share.store.batch(tasks=[record.task], space=share.space.name))
    for each in batch.where(source=record.source):
        same = each.architecture == record.architecture and each.curve == record.curve
        if same and each.state is record.state:
            return each
    return None


def _explained(trial: FrozenTrial) -> str:
    from metanas.search.pruner import explanation

    return explanation(trial) or "the pruner stopped it"


def _adopt(study: optuna.Study, share: Work, lost: FrozenTrial) -> None:
    """Puts a lost trial back into the queue, or ends one that is to blame for it."""
    if attempt_of(lost) + 1 < ATTEMPTS or SEED not in lost.user_attrs:
        requeue(study, lost, "its worker is gone", blamed=True)
        return
    architecture = Architecture.from_json(share.space.name, lost.user_attrs[ARCHITECTURE])
    curve = LearningCurve(
        share.measure.metric,
        tuple(sorted(lost.intermediate_values)),
        tuple(value for _, value in sorted(lost.intermediate_values.items())),
    )
    reason = f"its worker was gone {ATTEMPTS} times"
    outcome = Outcome(State.FAILED, curve, float("nan"), {}, reason)
    trial = optuna.Trial(study, lost._trial_id)
    _end(study, share, trial, architecture, int(lost.user_attrs[SEED]), outcome)


def _frozen(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    return patiently(lambda: study._storage.get_trial(trial._trial_id))
