"""LCRankNet as published: four inputs, one score, pairs within a task.

[LCRankNet] Wistuba and Pedapati. Learning to Rank Learning Curves. ICML 2020.

A network gives every run a score f from its architecture (an LSTM over the encoded
layers, which an LSTM decoder must rebuild: the reconstruction loss), its partial curve
(parallel convolutions of 2 to 5 points, each pooled over time), the task (an embedding)
and further numbers that describe the run. P(i ends above j) = sigmoid(f_i - f_j), trained
by cross-entropy on pairs of one task whose curves are cut at random lengths.

Sizes the paper leaves open are ours. Also ours, so that it can be used on new data:
the relative position t/T is a second channel of the curve; a task is embedded as one of
the known ones or, in part of training and for every new one, as unknown; values are
scaled by all sources' first and best ones (`metanas.rankers.curve_table.Scale`); near
ties are soft labels; half the pairs set a prefix against a finished run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metadata_store.batch import Trials
from metadata_store.records import Task, Trial, TrialState
from metanas.protocols import SearchSpace
from metanas.rankers.curve_table import OUTCOMES, Floats, Grid, outcome_curves
from metanas.rankers.sources import Sources, prefix_on

KERNELS = (2, 3, 4, 5)


class LCRankNetPaper:
    """Implements `metanas.protocols.CurveRanker`.

    Args:
        space: of the runs.
        outcome: what a run comes to, as in `metanas.rankers.lcranknet.LCRankNet`.
        alpha: weight of the pairwise loss, the rest is the reconstruction's.
        steps: of training, `pairs` pairs each.
        unknown: share of training in which the task is not told.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        seed: int = 0,
        outcome: str = "final",
        alpha: float = 0.8,
        steps: int = 400,
        pairs: int = 256,
        lr: float = 1e-3,
        unknown: float = 0.5,
    ) -> None:
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
        self.space, self.outcome = space, outcome
        self._seed, self._alpha, self._steps = seed, alpha, steps
        self._pairs, self._lr, self._unknown = pairs, lr, unknown
        self._sources: Sources | None = None
        self._net: RankNet | None = None

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        batch = Trials.of(trials)
        strangers = [name for name in batch.present("space") if name != self.space.name]
        if strangers:
            raise ValueError(f"need trials of space {self.space.name!r}, got {strangers[0]!r}")
        found = Sources.of(batch, self.space, self.outcome)
        if found is None:
            raise ValueError("need a task with at least eight finished curves to learn from")
        self._sources = found
        rows = [found.rows[table.task] for table in found.tables]
        encoded = self.space.encode_all(batch.architectures)
        layers = torch.as_tensor(encoded[np.concatenate(rows)]).float()
        curves = np.concatenate([table.curves for table in found.tables])
        codes = torch.as_tensor(np.concatenate([table.codes for table in found.tables])).float()
        task = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        rng = np.random.default_rng(self._seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self._net = RankNet(layers.shape[2], codes.shape[1], len(found.tables))
            self._train(
                self._net, layers, torch.as_tensor(self._unit(curves)).float(), codes, task, rng
            )
        self._net.eval()
        return self

    def probability_better(self, trial: Trial, other: Trial, task: Task) -> float:
        return float(self.probabilities_better([trial], [other], task)[0])

    def probabilities_better(
        self, trials: Sequence[Trial], others: Sequence[Trial], task: Task
    ) -> Floats:
        """`probability_better` of n pairs, shape (n,)."""
        if len(trials) != len(others):
            raise ValueError(f"need as many others as trials, got {len(others)} and {len(trials)}")
        margin = self.scores(trials, task) - self.scores(others, task)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -60.0, 60.0))))

    def scores(self, trials: Sequence[Trial], task: Task) -> Floats:
        """The network's f, shape (n,)."""
        if self._net is None or self._sources is None:
            raise ValueError("not fitted")
        if len(trials) == 0:
            return np.zeros(0)
        sources = self._sources
        curves, lengths = zip(*(self._prefix(sources.grid, trial) for trial in trials), strict=True)
        layers = np.stack([self.space.encode(trial.architecture) for trial in trials])
        codes = sources.encode([trial.architecture for trial in trials])
        names = [table.task for table in sources.tables]
        number = names.index(task.name) + 1 if task.name in names else 0
        with torch.no_grad():
            score, _ = self._net(
                torch.as_tensor(layers).float(),
                torch.as_tensor(self._unit(np.stack(curves))).float(),
                torch.as_tensor(np.array(lengths)),
                torch.as_tensor(codes).float(),
                torch.full((len(trials),), number),
            )
        return np.asarray(score.double().numpy())

    def _prefix(self, grid: Grid, trial: Trial) -> tuple[Floats, int]:
        """A curve on the grid, its last value carried on, and its length."""
        curve = trial.curve
        if len(curve) == 0:
            raise ValueError(f"need a curve of at least one point, got {trial.identity}")
        if self._sources is None:
            raise ValueError("not fitted")
        total = curve.epochs[-1] if trial.state is TrialState.COMPLETED else grid.epochs
        prefix = prefix_on(grid, curve.epochs, np.asarray(curve.values), total)
        if len(prefix) == 0:
            prefix = np.asarray(curve.values[-1:])
        padded = np.pad(prefix, (0, len(grid) - len(prefix)), "edge")
        return outcome_curves(self._sources.scale(padded), self.outcome), len(prefix)

    def _unit(self, curves: Floats) -> Floats:
        """Curves in the sources' unit."""
        if self._sources is None:
            raise ValueError("not fitted")
        scale = self._sources.scale
        return (curves - scale.low) / (4.0 * scale.width)

    def _train(
        self,
        net: RankNet,
        layers: Tensor,
        curves: Tensor,
        codes: Tensor,
        task: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        members = [np.flatnonzero(task == code) for code in range(int(task.max()) + 1)]
        positions = curves.shape[1]
        optimiser = torch.optim.Adam(net.parameters(), lr=self._lr)
        for _ in range(self._steps):
            group = rng.integers(len(members), size=self._pairs)
            one, two = (
                np.array([members[g][rng.integers(len(members[g]))] for g in group])
                for _ in range(2)
            )
            cut = rng.integers(1, positions + 1, size=(2, self._pairs))
            cut[1, rng.random(self._pairs) < 0.5] = positions
            told = np.where(rng.random(self._pairs) < self._unknown, 0, group + 1)
            rows = np.concatenate([one, two])
            score, rebuilt = net(
                layers[rows],
                curves[rows],
                torch.as_tensor(cut.ravel()),
                codes[rows],
                torch.as_tensor(np.tile(told, 2)),
            )
            final = curves[rows, -1].reshape(2, -1)
            loss = self._alpha * rank_loss(*score.reshape(2, -1), *final)
            loss = loss + (1.0 - self._alpha) * functional.mse_loss(rebuilt, layers[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def rank_loss(one: Tensor, two: Tensor, final_one: Tensor, final_two: Tensor) -> Tensor:
    """Cross-entropy of sigmoid(f_i - f_j) with who ends higher, in part where it is close."""
    label = torch.sigmoid((final_one - final_two) * 200.0)
    return functional.binary_cross_entropy_with_logits(one - two, label)


class RankNet(nn.Module):
    """Scores runs.

    Args:
        features: of one layer of an architecture. numbers: further ones. tasks: known.
    """

    def __init__(self, features: int, numbers: int, tasks: int) -> None:
        super().__init__()
        width, filters, embedding = 64, 32, 16
        self.read = nn.LSTM(features, width, batch_first=True)
        self.write = nn.LSTM(width, width, batch_first=True)
        self.rebuild = nn.Linear(width, features)
        self.branches = nn.ModuleList(nn.Conv1d(2, filters, kernel) for kernel in KERNELS)
        self.task = nn.Embedding(tasks + 1, embedding)  # 0 is the unknown task
        inputs = width + filters * len(KERNELS) + embedding + numbers + 2
        self.head = nn.Sequential(
            nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1)
        )

    def forward(
        self, layers: Tensor, curves: Tensor, lengths: Tensor, numbers: Tensor, task: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores (n,) and rebuilt layers (n, layers, features).

        Args:
            layers: (n, layers, features). curves: (n, positions), read up to `lengths`, (n,).
            numbers: (n, numbers). task: 0 for unknown, (n,).
        """
        _, (state, _) = self.read(layers)
        architecture = state[-1]
        repeated = architecture[:, None].expand(-1, layers.shape[1], -1)
        rebuilt = self.rebuild(self.write(repeated)[0])
        positions = curves.shape[1]
        place = torch.arange(1, positions + 1) / positions
        passed = torch.arange(positions) < lengths[:, None]
        last = curves.gather(1, (lengths - 1)[:, None])
        # After the cut the last value goes on, and the position stands still: a convolution
        # sees nothing that has not happened.
        share = (lengths / positions)[:, None]
        known = torch.where(passed, curves, last)
        channels = torch.stack([known, torch.minimum(place.expand_as(curves), share)], dim=1)
        wide = functional.pad(channels, (max(KERNELS) - 1, 0), mode="replicate")
        pooled = [functional.leaky_relu(branch(wide), 0.1).amax(2) for branch in self.branches]
        curve = torch.cat([*pooled, last, share], dim=1)
        score = self.head(torch.cat([architecture, curve, self.task(task), numbers], dim=1))
        return score[:, 0], rebuilt
