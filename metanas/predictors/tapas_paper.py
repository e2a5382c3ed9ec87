"""TAPAS as published: two stacked LSTMs over layers, sources cut at a DCN distance.

[TAPAS] Istrate et al. TAPAS: Train-less Accuracy Predictor for Architecture Search.
AAAI 2019, arXiv 1806.00250.

Tasks whose DCN differs from the new one's by at most tau are kept. A network reads an
architecture as a sequence of pairs of neighbouring layers through two LSTMs; the last
state and the DCN give the accuracy by a sigmoid, trained with squared error. Search is
`metanas.predictors.simulated_evolution`.

Differs from the paper:

- A layer is a row of `SearchSpace.encode` with the share of layers before it and the
  running totals of the rows, for a space need not know sizes and FLOPs of a layer.
- Trials hold no accuracy of a network's first layers alone, which incremental training
  gives. So the accuracy so far is no input, only the whole network has a label, and
  there is no roll-out.
- If fewer than three tasks are within tau the three nearest are used; where DCNs are
  unknown, all tasks.
- Scores beyond [0, 1] (negated losses) are brought there, over all tasks alike.
- Early stopping on a tenth of the rows; the paper's number of epochs is not known here.
  Batches are smaller than its 512 where there are fewer rows than its 15,200, so that
  an epoch has as many steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.source_scores import SourceScores
from metanas.protocols import Prediction, SearchSpace
from tasks.one_thread import one_thread

FIRST, SECOND = 50, 100
"""Units of the two LSTMs."""
BATCH, STEPS_AN_EPOCH = 512, 30
LEAST_TASKS = 3
UNKNOWN_DCN = 0.5
CHUNK = 8192


class TapasPaper:
    """Implements `metanas.protocols.Predictor` and `WeighsSources`; scores are in (0, 1).

    The network depends on which sources the new task keeps, so it is trained when that
    is known, at the first prediction for a task with them. It says nothing of its
    uncertainty: the standard deviation is its error on the rows held out.

    Args:
        tau: largest difference of DCN at which a source is kept.
        epochs: at most; training stops after `patience` without improvement.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        tau: float = 0.05,
        epochs: int = 100,
        patience: int = 15,
        seed: int = 0,
    ) -> None:
        if tau < 0 or epochs < 1 or patience < 1:
            raise ValueError(
                f"need tau >= 0, epochs >= 1 and patience >= 1, got {tau}, {epochs}, {patience}"
            )
        self._space = space
        self._tau = tau
        self._epochs = epochs
        self._patience = patience
        self._seed = seed
        self._sources: SourceScores | None = None

    @one_thread()
    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        self._sources = SourceScores.of(trials, self._space)
        self._dcn = {name: tasks[name].dcn for name in self._sources.tasks if name in tasks}
        self._trained: dict[tuple[str, ...], tuple[nn.Module, float]] = {}
        return self

    @one_thread()
    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        sources = self._fitted()
        kept = self._kept(task, sources.tasks)
        if kept not in self._trained:
            self._trained[kept] = self._train(kept, sources)
        network, error = self._trained[kept]
        dcn = UNKNOWN_DCN if task.dcn is None else task.dcn
        mean = np.empty(len(architectures))
        with torch.inference_mode():
            for start in range(0, len(architectures), CHUNK):
                tokens = self._tokens(architectures[start : start + CHUNK])
                scores = network(tokens, torch.full((len(tokens),), dcn))
                mean[start : start + CHUNK] = scores.double().numpy()
        return Prediction(mean, np.full(len(mean), error))

    def source_weights(self, task: Task) -> Mapping[str, float]:
        """The tasks kept weigh the same, the others nothing."""
        names = self._fitted().tasks
        kept = self._kept(task, names)
        return {name: 1.0 / len(kept) if name in kept else 0.0 for name in names}

    def _fitted(self) -> SourceScores:
        if self._sources is None:
            raise ValueError("the predictor is not fitted yet; call fit first")
        return self._sources

    def _kept(self, task: Task, names: Sequence[str]) -> tuple[str, ...]:
        known = {name: dcn for name in names if (dcn := self._dcn.get(name)) is not None}
        if task.dcn is None or len(known) < len(names):
            return tuple(names)
        apart = {name: abs(dcn - task.dcn) for name, dcn in known.items()}
        within = [name for name in names if apart[name] <= self._tau]
        if len(within) < LEAST_TASKS:
            within = sorted(names, key=lambda name: apart[name])[:LEAST_TASKS]
        return tuple(sorted(within))

    def _train(self, kept: tuple[str, ...], sources: SourceScores) -> tuple[nn.Module, float]:
        rows = [sources.tasks.index(name) for name in kept]
        scores = sources.scores[rows]
        low, high = np.nanmin(sources.scores), np.nanmax(sources.scores)
        if low < 0.0 or high > 1.0:
            scores = (scores - low) / max(high - low, 1e-12)
        task, column = np.nonzero(np.isfinite(scores))
        dcns = [UNKNOWN_DCN if self._dcn.get(name) is None else self._dcn[name] for name in kept]
        tokens = self._tokens(sources.architectures)[torch.from_numpy(column)]
        dcn = torch.tensor(dcns, dtype=torch.float32)[torch.from_numpy(task)]
        accuracy = torch.from_numpy(scores[task, column].astype(np.float32))
        generator = torch.Generator().manual_seed(self._seed)
        order = torch.randperm(len(accuracy), generator=generator)
        n_held = len(order) // 10 if len(order) >= 20 else 0
        held, used = order[:n_held], order[n_held:]
        network = _initialised(_Network(tokens.shape[2]), generator)
        optimiser = torch.optim.RMSprop(network.parameters(), lr=1e-3)
        size = min(BATCH, max(16, len(used) // STEPS_AN_EPOCH))
        best, best_state, waited = float("inf"), network.state_dict(), 0
        for _ in range(self._epochs):
            shuffled = used[torch.randperm(len(used), generator=generator)]
            for batch in torch.split(shuffled, size):
                loss = _error(network, tokens[batch], dcn[batch], accuracy[batch])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            judged = held if n_held else used
            with torch.inference_mode():
                error = float(_error(network, tokens[judged], dcn[judged], accuracy[judged]))
            if error < best:
                best, waited = error, 0
                best_state = {name: value.clone() for name, value in network.state_dict().items()}
            else:
                waited += 1
                if waited == self._patience:
                    break
        network.load_state_dict(best_state)
        return network, best**0.5

    def _tokens(self, architectures: Sequence[Architecture]) -> Tensor:
        """Pairs of neighbouring layers, shape (n, layers - 1, 2 * features)."""
        encoded = self._space.encode_all(architectures)
        n, layers, _ = encoded.shape
        totals = np.cumsum(encoded, axis=1) / layers
        place = np.broadcast_to(
            np.arange(layers, dtype=np.float32)[:, None] / layers, (n, layers, 1)
        )
        tokens = np.concatenate([encoded, totals, place], axis=2, dtype=np.float32)
        if layers == 1:
            tokens = np.repeat(tokens, 2, axis=1)
        return torch.from_numpy(np.concatenate([tokens[:, :-1], tokens[:, 1:]], axis=2))


class _Network(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.LSTM(features, FIRST, batch_first=True)
        self.second = nn.LSTM(FIRST, SECOND, batch_first=True)
        self.head = nn.Linear(SECOND + 1, 1)

    def forward(self, pairs: Tensor, dcn: Tensor) -> Tensor:
        states, _ = self.second(self.first(pairs)[0])
        joined = torch.cat([states[:, -1], dcn[:, None]], dim=1)
        scores: Tensor = torch.sigmoid(self.head(joined))[:, 0]
        return scores


def _initialised(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """He-normal weights, zero biases."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter, generator=generator)
        else:
            nn.init.zeros_(parameter)
    return network


def _error(network: nn.Module, tokens: Tensor, dcn: Tensor, accuracy: Tensor) -> Tensor:
    return torch.mean((network(tokens, dcn) - accuracy) ** 2)
