"""Keeps the trials of a user's own study, for later searches to start from."""

from __future__ import annotations

import logging

import optuna
from optuna.trial import FrozenTrial

from metadata_store.ingest import ingest
from metadata_store.records import Task
from metadata_store.store import MetadataStore
from metanas.importers.chunks import chunks
from metanas.importers.optuna import STATES, row_of


class Remember:
    """A callback for `optuna.Study.optimize`: each trial that ends goes into the store.

    It becomes what `metanas store import --format optuna` would make of it, so that a
    study may also be imported later and nothing is there twice. A trial the store cannot
    hold, such as one with an infinite value, is left out with a warning, and so are all of
    a study of several objectives.

    Args:
        task: what the objective measures on, its name or record.
        space: name for the objective's parameters; studies that share it learn from
            one another.
    """

    def __init__(self, store: MetadataStore, task: str | Task, space: str) -> None:
        self._store = store
        self._options = {"task": task if isinstance(task, str) else task.name, "space": space}

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.state.name not in STATES:
            return
        log = logging.getLogger(__name__)
        if len(study.directions) > 1:
            log.warning("trial %d not kept: the study has several objectives", trial.number)
            return
        row = row_of(study, trial, self._options)
        done = ingest(self._store, chunks([row], where="the study"), {})
        for reason in done.rejected:
            log.warning("trial %d not kept: %s", trial.number, reason)
