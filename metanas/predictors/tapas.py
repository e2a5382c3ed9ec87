"""TAPAS: how well would an architecture do on a data set, without training it?

[TAPAS] Istrate et al. TAPAS: Train-less Accuracy Predictor for Architecture Search.
AAAI 2019, arXiv 1806.00250.

The idea is the paper's: architectures measured on other tasks train a predictor, and a
characterisation of the new data set says which of them to believe. The parts are newer:

- One network over a description of the whole architecture that does not depend on how
  it is written down, instead of a recurrent one rolled out layer by layer.
- Ranks within each task and a loss on pairs instead of squared error on accuracies.
- Trust in every source that falls with the distance of data set features and DCN, as
  steeply as serves to foretell the sources from each other, instead of a cut at one distance.
- An ensemble, whose disagreement, and the sources', is the uncertainty.

The paper's own design is `metanas.predictors.tapas_paper`.

Why it is the default: from 200 cells of CIFAR-10 its first pick for CIFAR-100 among all
of NAS-Bench-201 is about a point from the best, that of a random forest 2.7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.ranking_ensemble import RankingEnsemble, require_ensemble
from metanas.predictors.source_scores import SourceScores
from metanas.predictors.trust import learn_belief, trust
from metanas.protocols import Prediction, SearchSpace
from tasks.one_thread import one_thread

FAR = 5.0
"""Standard deviations from the source architectures beyond which an input is cut."""

MIXTURE = 0.3
"""Concentration of a scenario's shares for each source."""

CHUNK = 16_384


class Tapas:
    """Implements `metanas.protocols.Predictor`, `SeesScenarios` and `WeighsSources`.

    Scores are standard deviations above the mean source architecture.

    Args:
        members: networks in the ensemble.
        steps: training steps for 200 architectures; more architectures get more.
        seed: of the networks' initial weights and batches.
    """

    def __init__(
        self, *, space: SearchSpace, members: int = 8, steps: int = 150, seed: int = 0
    ) -> None:
        require_ensemble(members, steps)
        self._space = space
        self._members = members
        self._steps = steps
        self._seed = seed
        self._sources: SourceScores | None = None

    @one_thread()
    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        """Takes a second or two for a few hundred trials."""
        sources = SourceScores.of(trials, self._space)
        described = self._space.describe_all(sources.architectures)
        self._center, spread = described.mean(axis=0), described.std(axis=0)
        self._varies = spread > 0
        self._spread = spread[self._varies]
        inputs = self._inputs(sources.architectures)
        self._ensemble = RankingEnsemble(
            members=self._members, steps=self._steps, seed=self._seed
        ).fit(inputs, torch.from_numpy(sources.normal.astype(np.float32)))
        raw = self._ensemble(inputs)  # (members, n, tasks)
        self._level = raw.mean(dim=1, keepdim=True)
        self._scale = raw.std(dim=1, keepdim=True, correction=0).clamp(min=1e-6)
        self._tasks = dict(tasks)
        self._sources = sources
        predicted = self._on_one_scale(raw).mean(axis=0).T
        self._belief = learn_belief(sources.normal, predicted, self._tasks, sources.tasks)
        return self

    @one_thread()
    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        weights = self._trust(task)
        mean = np.empty(len(architectures))
        std = np.empty(len(architectures))
        for rows, scores in self._scored(architectures):
            mean[rows] = (scores @ weights).mean(axis=0)
            apart = (scores - mean[rows][:, None]) ** 2
            std[rows] = np.sqrt((apart @ weights).mean(axis=0))
        return Prediction(mean, std)

    @one_thread()
    def scenarios(
        self, architectures: Sequence[Architecture], task: Task, *, n: int, seed: int
    ) -> NDArray[np.float32]:
        """Scores as they may turn out: one member, and sources mixed in random shares.

        The shares are of a Dirichlet distribution around the trust in the sources; with
        `MIXTURE` below one, most of a scenario is one or two sources.

        Returns:
            Shape (n, architectures).
        """
        weights = self._trust(task)
        rng = np.random.default_rng(seed)
        members = np.arange(n) % self._members
        shares = rng.dirichlet(np.maximum(MIXTURE * len(weights) * weights, 1e-3), n)
        drawn = np.empty((n, len(architectures)), np.float32)
        for rows, scores in self._scored(architectures):
            for scenario in range(n):
                drawn[scenario, rows] = scores[members[scenario]] @ shares[scenario]
        return drawn

    def source_weights(self, task: Task) -> Mapping[str, float]:
        """The trust in each source, the task's own trials included."""
        weights = self._trust(task)
        names = self._fitted().tasks
        return dict(zip(names, weights.tolist(), strict=True))

    def _fitted(self) -> SourceScores:
        if self._sources is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        return self._sources

    def _trust(self, task: Task) -> NDArray[np.float64]:
        sources = self._fitted()
        names = sources.tasks
        own = 0
        if task.name in names:
            own = int(np.isfinite(sources.scores[names.index(task.name)]).sum())
        return trust(task, self._tasks, names, own, self._belief)

    def _scored(
        self, architectures: Sequence[Architecture]
    ) -> list[tuple[slice, NDArray[np.float64]]]:
        """Chunks of rows, and each member's score of them on each task: (members, rows, tasks)."""
        inputs = self._inputs(architectures)
        chunks = []
        for start in range(0, len(architectures), CHUNK):
            rows = slice(start, min(start + CHUNK, len(architectures)))
            raw = self._ensemble(inputs[rows])
            chunks.append((rows, self._on_one_scale(raw)))
        return chunks

    def _on_one_scale(self, raw: torch.Tensor) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = ((raw - self._level) / self._scale).double().numpy()
        return scores

    def _inputs(self, architectures: Sequence[Architecture]) -> torch.Tensor:
        described = self._space.describe_all(architectures)
        standard = (described - self._center)[:, self._varies] / self._spread
        return torch.from_numpy(np.clip(standard, -FAR, FAR).astype(np.float32))
