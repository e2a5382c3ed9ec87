"""XferNAS as a search: the candidate that is expected to improve most on the best so far.

[XferNAS] Wistuba. XferNAS: Transfer Neural Architecture Search. ECML PKDD 2020.
[EI] Jones, Schonlau and Welch. Efficient Global Optimization. 1998.

The model is `metanas.predictors.xfernas`. With no trial yet the proposal is what the
universal predictor likes best; without sources the first proposals are random. What other
workers are training counts as if it had come out as predicted, so that a batch of them
gets different candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.cold_start import ColdStart
from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.placed import Placed
from metanas.predictors.ranking_ensemble import require_ensemble
from metanas.predictors.universal import Universal
from metanas.protocols import SearchSpace
from metanas.strategies.candidates import best_untried, drawn, fresh, listed, random_draws
from tasks.one_thread import one_thread

FIRST = 5
"""Random proposals where there are no sources."""

LED = 5
"""With fewer trials only what the sources like better than their median is proposed: the first
trials hardly tell whether scores rise as on the sources or fall, and where sources agree most,
on what is worst, either way is furthest from what was seen, so that it promised most. Number and
share were chosen on the reference trials."""

PARENTS = 20
"""Best architectures whose mutants are candidates where the space cannot be listed."""


class XferNASStrategy:
    """Implements `metanas.protocols.Strategy`.

    Args:
        sources: trials of other tasks of the space; those without a score teach nothing.
        members, steps: as in `metanas.predictors.xfernas.XferNAS`.
    """

    @one_thread()
    def __init__(
        self,
        *,
        space: SearchSpace,
        sources: Sequence[Trial] = (),
        tasks: Mapping[str, Task] | None = None,
        seed: int = 0,
        members: int = 8,
        steps: int = 150,
    ) -> None:
        require_ensemble(members, steps)
        self._space = space
        batch = Trials.of(sources)
        self._listed = listed(space)
        self._model: Universal | ColdStart
        if np.isfinite(batch.scores).any():
            self._model = Universal(
                batch, dict(tasks or {}), space, members=members, steps=steps, seed=seed
            )
            order = np.argsort(-np.nan_to_num(batch.scores, nan=-np.inf), kind="stable")
            codes = list(dict.fromkeys(batch.architecture_codes[order].tolist()))
            known = [batch.architectures[code] for code in codes]
        else:
            known = drawn(space, (), np.random.default_rng(seed))
            self._model = ColdStart(space, self._listed or known)
        self._known = known[:PARENTS]
        self._placed = None if self._listed is None else self._model.place(self._listed)

    @one_thread()
    def propose(
        self,
        trials: Sequence[Trial],
        task: Task,
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
    ) -> Architecture:
        own = OwnTrials.of(trials)
        taken = {each.key for each in (*own.tried, *pending)}
        cold = isinstance(self._model, ColdStart)
        if cold and len(own.measured) < FIRST:
            return fresh(random_draws(self._space, rng), self._space, taken)
        candidates = self._candidates(own, rng)
        values = self._values(candidates, own, task, pending)
        chosen = best_untried(candidates.architectures, values, taken)
        if chosen is None:
            return fresh(random_draws(self._space, rng), self._space, taken)
        return chosen

    def _candidates(self, own: OwnTrials, rng: np.random.Generator) -> _Candidates:
        if self._listed is not None and self._placed is not None:
            return _Candidates(self._listed, self._placed)
        best = np.argsort(-own.scores, kind="stable")[:PARENTS]
        good = [*(own.measured[i] for i in best), *self._known]
        found = drawn(self._space, good[:PARENTS], rng)
        return _Candidates(found, self._model.place(found))

    def _values(
        self,
        candidates: _Candidates,
        own: OwnTrials,
        task: Task,
        pending: Sequence[Architecture],
    ) -> NDArray[np.float64]:
        """What each is good for: the expected improvement, or g_u before there is a trial."""
        own = self._with_pending(own, task, pending)
        mean, std = self._expected(candidates.placed, own, task)
        if not own.measured:
            return mean
        best = own.scores if own.bound.all() else own.scores[~own.bound]
        values = expected_improvement(mean, std, float(best.max()))
        if len(own.measured) >= LED:
            return values
        liked, _ = self._model.expected(candidates.placed, task)
        return np.where(liked >= np.median(liked), values, -np.inf)

    def _with_pending(
        self, own: OwnTrials, task: Task, pending: Sequence[Architecture]
    ) -> OwnTrials:
        """Trials as they would be if what is pending came out as expected."""
        known = {each.key for each in own.measured}
        waiting = tuple(each for each in pending if each.key not in known)
        if not waiting:
            return own
        guess, _ = self._expected(self._model.place(waiting), own, task)
        return replace(
            own,
            measured=(*own.measured, *waiting),
            scores=np.concatenate([own.scores, guess]),
            bound=np.concatenate([own.bound, np.zeros(len(waiting), dtype=bool)]),
        )

    def _expected(
        self, placed: Placed, own: OwnTrials, task: Task
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation, shape (N,) each."""
        if not own.measured:
            return self._model.expected(placed, task)
        seen = self._model.place(own.measured)
        posterior = self._model.posterior(seen, own, task)
        mean, variance = posterior.predict(placed.heads, placed.apart(seen))
        return mean, np.sqrt(variance)


@dataclass(frozen=True)
class _Candidates:
    architectures: Sequence[Architecture]
    placed: Placed


def expected_improvement(
    mean: NDArray[np.float64], std: NDArray[np.float64], best: float
) -> NDArray[np.float64]:
    """Of normal variables over `best`, shape (N,)."""
    standard = (mean - best) / std
    density = np.exp(-0.5 * standard**2) / np.sqrt(2.0 * np.pi)
    improvement: NDArray[np.float64] = std * (standard * ndtr(standard) + density)
    return improvement
