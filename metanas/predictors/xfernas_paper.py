"""XferNAS as published: NAO's networks with a universal part and a residual for each task.

[XferNAS] Wistuba. XferNAS: Transfer Neural Architecture Search. ECML PKDD 2020,
arXiv 1907.08307.
[NAO] Luo et al. Neural Architecture Optimization. NeurIPS 2018.

The networks (`metanas.predictors.autoencoder`) are trained on the source trials once, then
on source and own trials together. New architectures come from steps along the gradient in
the space of codes, decoded.

Differs from the papers, or is not known from them: a token is a choice of the space; scores
are standard scores within a task, since tasks differ; embedding size of a task, penalty on
residuals and the number of candidates a round; far fewer epochs at a higher rate; a
stopped trial's best value is taken for its score where the prediction is below it, and not
learned from where it is above.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.autoencoder import AutoEncoder, ascend, loss_of
from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.source_scores import SourceScores
from metanas.predictors.tokens import Tokens
from metanas.protocols import Prediction, SearchSpace
from tasks.one_thread import one_thread

BATCH = 100
RATE = 3e-3
CHUNK = 8192
TRADEOFF = 0.9
RESIDUAL = 0.01
CLIP = 5.0
STEPS = 30
"""At most so many steps in the space of codes, each one unit longer than the one before."""
STARTS = 20
"""Best known architectures from which they start."""


class XferNASPaper:
    """Implements `metanas.protocols.Predictor`; scores are standard scores of a task.

    It says nothing of its uncertainty: the standard deviation is 1, a task's spread.

    Args:
        epochs: over the sources, once.
        more_epochs: over sources and own trials, each time own trials are learned from.
    """

    def __init__(
        self, *, space: SearchSpace, epochs: int = 200, more_epochs: int = 50, seed: int = 0
    ) -> None:
        if epochs < 1 or more_epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {epochs} and {more_epochs}")
        self._space = space
        self._epochs = epochs
        self._more_epochs = more_epochs
        self._seed = seed
        self._network: AutoEncoder | None = None

    @one_thread()
    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        """Trains on all trials; each of their tasks gets a residual."""
        sources = SourceScores.of(trials, self._space)
        self._names = sources.tasks
        self._known = sources.architectures
        self._tokens = Tokens(self._space, sources.architectures)
        scores = np.full((len(self._known), len(self._names) + 1), np.nan)
        scores[:, :-1] = standard_scores(sources.scores).T
        self._scores = scores
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self._network = AutoEncoder(self._tokens.allowed, len(self._names) + 1)
        self._train(self._tokens.encode(self._known), scores, self._epochs)
        return self

    @one_thread()
    def with_own(self, own: OwnTrials) -> XferNASPaper:
        """One that has also learned the trials of a new task; this one is untouched."""
        if not own.measured:
            return self
        more = copy.deepcopy(self)
        place = {architecture: row for row, architecture in enumerate(self._known)}
        new = [each for each in own.measured if each not in place]
        more._known = (*self._known, *new)
        place.update({each: len(self._known) + row for row, each in enumerate(new)})
        extra = np.full((len(new), self._scores.shape[1]), np.nan)
        more._scores = np.concatenate([self._scores, extra])
        standard = standard_scores(own.scores[None])[0]
        if own.bound.any():
            expected = self._predicted(own.measured, -1)
            standard = np.where(own.bound & (expected > standard), np.nan, standard)
        more._scores[[place[each] for each in own.measured], -1] = standard
        more._train(self._tokens.encode(more._known), more._scores, self._more_epochs)
        return more

    @one_thread()
    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        column = self._names.index(task.name) if task.name in self._learned() else -1
        mean = self._predicted(architectures, column)
        return Prediction(mean, np.ones(len(mean)))

    def universal(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """g_u, shape (n,)."""
        self._learned()
        with torch.inference_mode():
            codes = self._fitted().encode(self._tokens.encode(architectures))
            scores: NDArray[np.float64] = self._fitted().universal_score(codes).double().numpy()
        return scores

    @one_thread()
    def improved(self, n: int, is_new: Callable[[Architecture], bool]) -> list[Architecture]:
        """New architectures decoded from better codes, for the new task.

        Starts are the best known ones: measured, else as predicted.

        Args:
            n: wanted; fewer come where decoding gives no more new valid ones.
            is_new: whether one may be proposed.
        """
        network = self._fitted()
        predicted = self._predicted(self._known, -1)
        own = self._scores[:, -1]
        value = np.where(np.isfinite(own), own, predicted) if np.isfinite(own).any() else predicted
        starts = np.argsort(-value, kind="stable")[:STARTS]
        tokens = self._tokens.encode([self._known[row] for row in starts])
        with torch.no_grad():
            codes = network.encode(tokens)
        found: dict[str, Architecture] = {}
        for step in range(1, STEPS + 1):
            for ids in network.read_out(ascend(network, codes, -1, float(step))):
                decoded = self._tokens.decode(ids)
                if decoded is not None and is_new(decoded):
                    found.setdefault(decoded.key, decoded)
            if len(found) >= n:
                break
        new = list(found.values())
        order = np.argsort(-self._predicted(new, -1), kind="stable")
        return [new[row] for row in order[:n]]

    def _learned(self) -> tuple[str, ...]:
        self._fitted()
        return self._names

    def _fitted(self) -> AutoEncoder:
        if self._network is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        return self._network

    def _predicted(self, architectures: Sequence[Architecture], column: int) -> NDArray[np.float64]:
        network = self._fitted()
        for architecture in architectures:
            if architecture.space != self._space.name:
                raise ValueError(
                    f"need architectures of {self._space.name!r}, got one of {architecture.space!r}"
                )
        out = np.empty(len(architectures))
        with torch.inference_mode():
            for start in range(0, len(architectures), CHUNK):
                tokens = self._tokens.encode(architectures[start : start + CHUNK])
                scores = network.predict(network.encode(tokens))[:, column]
                out[start : start + CHUNK] = scores.double().numpy()
        return out

    def _train(self, tokens: Tensor, scores: NDArray[np.float64], epochs: int) -> None:
        network = self._fitted()
        targets = torch.from_numpy(scores.astype(np.float32))
        generator = torch.Generator().manual_seed(self._seed)
        optimiser = torch.optim.Adam(network.parameters(), lr=RATE, weight_decay=1e-4, fused=True)
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(tokens), generator=generator), BATCH):
                loss = loss_of(
                    network, tokens[rows], targets[rows], tradeoff=TRADEOFF, residual=RESIDUAL
                )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()


def standard_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row less its mean, in its standard deviations, NaN kept; shape (t, n)."""
    mean = np.nanmean(scores, axis=1, keepdims=True)
    std = np.nanstd(scores, axis=1, keepdims=True)
    standard: NDArray[np.float64] = (scores - mean) / np.where(std > 0, std, 1.0)
    return standard
