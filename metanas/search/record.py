"""From a run that ended to the records of it: our trial, and what is kept of it in the study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from metadata_store.records import Architecture, Task, Trial, TrialState
from metadata_store.store import MetadataStore
from metanas.search.objective import Outcome
from metanas.search.study import ARCHITECTURE, RESULT, SEED, Plan, counted

SOURCE = "search:"
STATES = {
    optuna.trial.TrialState.COMPLETE: TrialState.COMPLETED,
    optuna.trial.TrialState.PRUNED: TrialState.STOPPED,
    optuna.trial.TrialState.FAIL: TrialState.FAILED,
}
ENDS = {ours: theirs for theirs, ours in STATES.items()}


def source_of(study: str) -> str:
    """The source of a study's trials in the store."""
    return f"{SOURCE}{study}"


def stored_searches(store: MetadataStore, task: str) -> set[str]:
    """Names of the searches on a task of which the store has trials, wherever they ran."""
    sources = store.batch(tasks=[task]).present("source")
    return {each.removeprefix(SOURCE) for each in sources if each.startswith(SOURCE)}


def as_trial(
    outcome: Outcome, study: str, task: Task, architecture: Architecture, seed: int
) -> Trial:
    """Our record."""
    return Trial(
        task=task.name,
        architecture=architecture,
        curve=outcome.curve,
        state=outcome.state,
        seed=seed,
        source=source_of(study),
        seconds=outcome.seconds,
        extras=outcome.extras,
    )


@dataclass(frozen=True)
class Ran:
    """A trial of a study that ended.

    Attributes:
        number: in the study.
        seed: under which the store has it; a replay repeated has that of the first.
        score: of a completed trial, else None.
        best: highest value seen, whatever the state; None where there is none.
        objectives: values of a completed trial, as the study's plan names them.
        epochs: trained.
        seconds: of training, None where unknown.
        ended: seconds since the study's first trial began.
        reason: why it failed or was stopped, else "".
    """

    number: int
    architecture: Architecture
    state: TrialState
    seed: int
    score: float | None
    best: float | None
    objectives: tuple[float, ...]
    epochs: int
    seconds: float | None
    ended: float
    reason: str


def merit(trial: Ran) -> float:
    """What trials are ranked by: the score, -inf where there is none."""
    return -math.inf if trial.score is None else trial.score


def told(outcome: Outcome, reason: str, seed: int) -> Mapping[str, Any]:
    """What `ran` needs besides what Optuna keeps, for an attribute of the trial.

    Args:
        seed: under which the store has it.
    """
    seconds = outcome.seconds if outcome.seconds == outcome.seconds else None
    return {
        "best": outcome.curve.best,
        "epochs": len(outcome.curve),
        "seconds": seconds,
        "reason": reason,
        "seed": seed,
    }


def ran(study: optuna.Study) -> list[Ran]:
    """The trials of a study that ended, by number.

    Raises:
        ValueError: metanas did not make the study.
    """
    plan = Plan.of(study)
    if plan is None:
        raise ValueError(f"study {study.study_name!r} was not made by metanas")
    trials = counted(study.get_trials(deepcopy=False))
    begin = min((each.datetime_start for each in trials if each.datetime_start), default=None)
    return [_ran(each, plan, begin) for each in trials if ARCHITECTURE in each.user_attrs]


def _ran(trial: FrozenTrial, plan: Plan, begin: Any) -> Ran:
    state = STATES[trial.state]
    kept = trial.user_attrs.get(RESULT, {})
    best = kept.get("best")
    end = trial.datetime_complete
    return Ran(
        number=trial.number,
        architecture=Architecture.from_json(plan.space, trial.user_attrs[ARCHITECTURE]),
        state=state,
        # Trials of earlier versions are all stored under the seed that they began with.
        seed=int(kept.get("seed", trial.user_attrs[SEED])),
        score=best if state is TrialState.COMPLETED else None,
        best=best,
        objectives=tuple(trial.values or ()) if state is TrialState.COMPLETED else (),
        epochs=int(kept.get("epochs", 0)),
        seconds=kept.get("seconds"),
        ended=(end - begin).total_seconds() if end and begin else 0.0,
        reason=str(kept.get("reason", "")),
    )
