"""Optuna's own samplers as strategies, to replay a search on a table of scores.

A sampler sees the finished trials as a study of its own and is asked for the next one. In a
space of which only some architectures are listed its proposal becomes the nearest listed
one, and that is what it is told about. A proposal tried before costs nothing: the sampler
is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.trial import TrialState as OptunaState

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.protocols import SearchSpace
from metanas.search.asked import asked
from metanas.search.named import SAMPLERS
from metanas.strategies.candidates import fresh, random_draws

TRIES = 30
"""How often a sampler is asked for something new before a random proposal is taken."""


class OptunaStrategy:
    """Implements `metanas.protocols.Strategy`; learns nothing from sources.

    Trials without a score, and what is pending, are only not proposed again.

    Args:
        sampler: a key of `metanas.search.named.SAMPLERS`.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
        sampler: str = "tpe",
    ) -> None:
        if sampler not in SAMPLERS:
            raise ValueError(f"unknown sampler {sampler!r}; there are {', '.join(SAMPLERS)}")
        self._space = space
        self._sampler = sampler
        self._start()

    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        batch = Trials.of(trials)
        told = self._tell(batch)
        self._study.sampler = SAMPLERS[self._sampler](seed=int(rng.integers(2**31)))
        taken = {each.key for each in (*told, *pending)}
        for _ in range(TRIES):
            trial = self._study.ask()
            chosen = self._space.suggest(trial)
            self._study.tell(trial, state=OptunaState.FAIL)
            if chosen.key not in taken:
                return chosen
        return fresh(random_draws(self._space, rng), self._space, taken)

    def _start(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = SAMPLERS[self._sampler](seed=0)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._told: list[tuple[str, float]] = []

    def _tell(self, batch: Trials) -> list[Architecture]:
        """Adds what the study does not have yet; starts anew for another history."""
        tried = [batch.architectures[code] for code in batch.architecture_codes]
        history = [(a.key, float(s)) for a, s in zip(tried, batch.scores, strict=True)]
        scored = [entry for entry in history if np.isfinite(entry[1])]
        if scored[: len(self._told)] != self._told:
            self._start()
        by_key = {architecture.key: architecture for architecture in tried}
        for key, score in scored[len(self._told) :]:
            answers = dict(asked(self._space, by_key[key]))
            answered = optuna.trial.FixedTrial(answers)
            self._space.suggest(answered)
            self._study.add_trial(
                optuna.trial.create_trial(
                    params=answers, distributions=answered.distributions, value=score
                )
            )
        self._told = scored
        return tried
