"""XferNAS as published, as a search: candidates are decoded from better codes.

[XferNAS] Wistuba. XferNAS: Transfer Neural Architecture Search. ECML PKDD 2020.

Learning takes place once a round of so many trials, from the trials up to then, so that any
worker at any time comes to the same networks. What is decoded comes first; where it is known
or invalid, mutants of the best known architectures, by their predicted score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.xfernas_paper import XferNASPaper
from metanas.protocols import SearchSpace
from metanas.strategies.candidates import best_untried, drawn, fresh, random_draws, taken_keys

PARENTS = 5
"""Best known architectures whose mutants are the fall-back."""


class XferNASPaperStrategy:
    """Implements `metanas.protocols.Strategy`.

    Without sources it is NAO: the first round is random.

    Args:
        round_size: trials between two trainings.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
        round_size: int = 10,
        epochs: int = 200,
        more_epochs: int = 50,
    ) -> None:
        if round_size < 1:
            raise ValueError(f"round_size must be at least 1, got {round_size}")
        self._space = space
        self._seed = seed
        self._round_size = round_size
        self._epochs = epochs
        self._every = space.enumerate()
        self._listed = None if self._every is None else {each.key for each in self._every}
        self._sources: XferNASPaper | None = None
        batch = Trials.of(sources)
        if np.isfinite(batch.scores).any():
            self._sources = XferNASPaper(
                space=space, epochs=epochs, more_epochs=more_epochs, seed=seed
            ).fit(batch, dict(tasks or {}))
        self._round: tuple[tuple[str, ...], _Round] | None = None

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        batch = Trials.of(trials)
        taken = taken_keys(batch, pending)
        learned = batch[: len(batch) // self._round_size * self._round_size]
        model, queue = self._learn(learned, task)
        if model is None:
            return fresh(random_draws(self._space, rng), self._space, taken)
        for each in queue:
            if each.key not in taken:
                return each
        own = OwnTrials.of(batch)
        best = np.argsort(-own.scores, kind="stable")[:PARENTS]
        parents = [own.measured[row] for row in best] or queue[:PARENTS]
        found = drawn(self._space, parents, rng, every=self._every)
        chosen = best_untried(found, model.predict(found, task).mean, taken)
        return chosen or fresh(random_draws(self._space, rng), self._space, taken)

    def _learn(self, learned: Trials, task: Task) -> _Round:
        """The model and what it decodes after these trials."""
        history = tuple(f"{trial.identity} {trial.curve.best}" for trial in learned)
        if self._round is None or self._round[0] != history:
            model = self._model(learned, task)
            queue: list[Architecture] = []
            if model is not None:
                known = taken_keys(learned, ())
                queue = model.improved(
                    2 * self._round_size,
                    lambda each: each.key not in known and self._exists(each),
                )
            self._round = history, (model, queue)
        return self._round[1]

    def _exists(self, architecture: Architecture) -> bool:
        return self._listed is None or architecture.key in self._listed

    def _model(self, learned: Trials, task: Task) -> XferNASPaper | None:
        own = OwnTrials.of(learned)
        if self._sources is not None:
            return self._sources.with_own(own)
        if own.bound.all():
            return None
        alone = XferNASPaper(space=self._space, epochs=self._epochs, seed=self._seed)
        return alone.fit(learned, {task.name: task})


_Round = tuple[XferNASPaper | None, list[Architecture]]
"""What a round of trials teaches, and what to try then."""
