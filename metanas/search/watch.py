"""Finding trials whose worker is gone, and showing others that one is not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from metadata_store.sql.beside import Failure
from metanas.search.owner import Owner
from metanas.search.storage import PATIENCE, patiently
from metanas.search.study import BEAT, OWNER

EVERY = 15.0
"""Seconds between two signs of life."""

SILENCE = PATIENCE + 4 * EVERY
"""Seconds without one after which a worker on another machine counts as gone: more than it
waits for a database that is away."""

NAMELESS = 20.0
"""Seconds after which a trial counts as abandoned before its worker could put its name on it."""


class Watch:
    """What one process has seen of the others.

    Why the time is taken here: clocks of different machines differ. A trial is lost
    once nothing about it has changed for as long as this process has looked.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[object, float]] = {}

    def lost(self, study: optuna.Study) -> list[FrozenTrial]:
        """Running trials whose worker is gone."""
        running = patiently(lambda: study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        now = time.monotonic()
        return [each for each in running if self._is_lost(each, now)]

    def _is_lost(self, trial: FrozenTrial, now: float) -> bool:
        text = trial.user_attrs.get(OWNER)
        owner = None if text is None else Owner.parse(text)
        alive = None if owner is None else owner.alive()
        if alive is not None:
            return not alive
        sign = (text, trial.user_attrs.get(BEAT), len(trial.intermediate_values))
        last, since = self._seen.get(trial.number, (None, now))
        if sign != last:
            self._seen[trial.number] = sign, now
            return False
        return now - since > (NAMELESS if owner is None else SILENCE)


@contextmanager
def beating(study: optuna.Study, trial: optuna.Trial) -> Iterator[None]:
    """Shows that the trial's worker is there, until the block ends."""
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(EVERY):
            count += 1
            try:
                study._storage.set_trial_user_attr(trial._trial_id, BEAT, count)
            except (StorageInternalError, UpdateFinishedTrialError, Failure) as error:
                # A beat left out does no harm.
                logging.getLogger(__name__).debug("no sign of life: %s", error)
        study._storage.remove_session()

    thread = threading.Thread(target=beat, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
