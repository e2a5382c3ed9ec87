"""Whose turn it is to propose: workers that do so at once propose the same.

Others see what a trial runs only once its proposal is made, a second or so after it began. So
a worker first waits for the trials that began before its own, and then sees them all. Nobody
waits for a later trial, hence no two for each other, nor long for one that says nothing.
"""

from __future__ import annotations

import time

import optuna
from optuna.trial import FrozenTrial, TrialState

from metanas.search.owner import Owner
from metanas.search.study import ARCHITECTURE, OWNER, fixed_params, standing

PATIENCE = 10.0
"""Seconds without news of any of them after which trials are waited for no longer."""

LOOK = 0.1
"""Seconds between two looks."""


class Turn:
    """What one process knows of those before it, in a study that metanas made."""

    def __init__(self) -> None:
        self._passed_over: set[int] = set()

    def wait(self, study: optuna.Study, number: int) -> None:
        """Returns when it is known what all trials before this one run, see `PATIENCE`.

        A trial waited for in vain is not waited for again.
        """
        before, since = set[int](), 0.0
        while ahead := self._ahead(study, number):
            now = time.monotonic()
            if ahead != before:
                before, since = ahead, now
            elif now - since > PATIENCE:
                self._passed_over |= ahead
                return
            time.sleep(LOOK)

    def _ahead(self, study: optuna.Study, number: int) -> set[int]:
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        ahead = {each.number for each in standing(running) if each.number < number and _owes(each)}
        return ahead - self._passed_over


def _owes(trial: FrozenTrial) -> bool:
    """Whether a running trial is yet to say what it runs, and may."""
    if ARCHITECTURE in trial.user_attrs or fixed_params(trial):
        return False
    owner = trial.user_attrs.get(OWNER)
    return owner is None or Owner.parse(owner).alive() is not False
