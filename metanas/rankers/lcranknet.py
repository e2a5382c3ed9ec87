"""LCRankNet: which of two learning curves will end higher?

[LCRankNet] Wistuba and Pedapati. Learning to Rank Learning Curves. ICML 2020.
[R2D2] Bertinetto et al. Meta-learning with differentiable closed-form solvers. ICLR 2019.

As in the paper, curves of other tasks teach the chance that one run ends above another,
from its architecture, its partial curve and the task, by a pairwise loss with random
cut-offs; a search stops a run whose chance to beat its best is at most `delta`.
Differs from the paper (which is `lcranknet_paper`):

- The task is not an embedded name but what its runs have shown so far, stopped ones
  too: a new task is a combination of the sources' surfaces of learning curves, updated
  in closed form (`metanas.rankers.surfaces`). It begins at the sources' mean, the
  "unknown" task. So there is no sequence model, no reconstruction.
- A network corrects that prediction (`metanas.rankers.margin_net`). It gives each run
  a scale as well as a score, and learns from simulated searches on the sources, each
  source predicted from the others, so that prefixes meet finished runs as in use.
  Half of these tasks are stretched: a new task may be on a scale of its own.
- Networks are trained on parts of the sources; temperature and `delta` come from the
  sources that a network has not seen.
- Boosted trees (`metanas.rankers.boosted`) have half the say: they and the networks err on
  different tasks. The rank among the search's own runs has a say too, and with few sources,
  where no network can be trusted, most of it (`metanas.rankers.peers`); it alone counts in a
  search that has left all sources' runs behind.
- The chance that stops a run is that of beating the best by a margin (`learning.WORTH`): the
  paper's soft label of a near tie, used also when deciding. It is weighed against what is
  left to train (`metanas.rankers.play.prospect`).

Why raw units: within one metric a gap means the same on every task, and a scale
guessed from the first runs of a search is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Task, Trial, TrialState
from metanas.protocols import SearchSpace
from metanas.rankers.boosted import Boosted
from metanas.rankers.curve_table import OUTCOMES, Floats
from metanas.rankers.ensemble import Ensemble
from metanas.rankers.kept import kept
from metanas.rankers.learning import Learner
from metanas.rankers.live import InformedSearch, LiveSearch
from metanas.rankers.lone import LoneSearch
from metanas.rankers.margin_net import probability
from metanas.rankers.source_prior import SourcePrior
from metanas.rankers.sources import Sources

LEAST = 2
"""Sources without which nothing is learned: one does not tell how tasks differ."""

BOLDEST = 0.5
"""A threshold is not chosen above it."""


class LCRankNet:
    """Implements `metanas.protocols.CurveRanker`.

    Args:
        space: of the runs.
        outcome: what a run comes to: its "final" value, or its best, its "score".
        factors: directions in which tasks may differ.
        folds: parts of the sources; for each, two networks are trained on the others. By
            default 3, and of few sources each is a part: none can be spared.
        searches: simulated for each source task to learn from.
        steps: of training a network.
        folder: where what is learned is kept, to be read when the same is to be learned
            again; by default nowhere.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        seed: int = 0,
        outcome: str = "final",
        factors: int = 12,
        folds: int | None = None,
        searches: int = 8,
        steps: int = 700,
        folder: Path | None = None,
    ) -> None:
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
        self.space, self.outcome = space, outcome
        self._lecture = Learner(
            outcome=outcome, factors=factors, folds=folds, searches=searches, steps=steps, seed=seed
        )
        self._folder = folder
        self.sources: Sources | None = None
        self.prior: SourcePrior | None = None
        self.boosted: Boosted | None = None
        self.ensemble = Ensemble(())
        self.poorest = np.zeros(0)
        self._trials: Trials | None = None

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        batch = Trials.of(trials)
        strangers = [name for name in batch.present("space") if name != self.space.name]
        if strangers:
            raise ValueError(f"need trials of space {self.space.name!r}, got {strangers[0]!r}")
        self._trials = batch
        self.sources = Sources.of(batch, self.space, self.outcome)
        if self.sources is None or len(self.sources.tables) < LEAST:
            self.prior = None
            return self
        learner = self._lecture
        learned = (
            learner(self.sources)
            if self._folder is None
            else kept(self._folder, learner, self.sources)
        )
        self.prior, self.boosted = learned.prior, learned.boosted
        self.ensemble, self.poorest = learned.ensemble, learned.poorest
        return self

    def threshold(self, risk: float) -> float:
        """The `delta` that stops the best run of at most so many searches on the sources.

        Lost is a search that stops the best run and all that are as good but for chance, as
        far as runs repeated with other seeds tell (see `metanas.rankers.learning.luckiest`).

        Args:
            risk: a share of those searches, in [0, 1).
        """
        if not 0.0 <= risk < 1.0:
            raise ValueError(f"a risk lies in [0, 1), got {risk}")
        if len(self.poorest) == 0:
            raise ValueError("no sources to choose a threshold on")
        poorest = np.sort(self.poorest)
        # Searches that happen to keep their best run at any threshold do not make it a good one.
        found = min(poorest[int(risk * len(poorest))], BOLDEST)
        return float(np.nextafter(found, 0.0))

    def live(self, task: str, *, epochs: int | None = None) -> LiveSearch:
        """A search on a task, of whose runs nothing is known yet.

        Args:
            task: where it is a source too, it is left out of what is expected.
            epochs: of a whole run, by default the sources'.
        """
        if self.prior is None or self.sources is None or self.boosted is None:
            return LoneSearch(self.outcome)
        names = [table.task for table in self.prior.tables]
        prior = self.prior.left_out(names.index(task))[0] if task in names else None
        learned = self.sources, self.prior, self.ensemble, self.boosted
        return InformedSearch(*learned, outcome=self.outcome, prior=prior, epochs=epochs)

    def probability_better(self, trial: Trial, other: Trial, task: Task) -> float:
        return float(self.probabilities_better([trial], [other], task)[0])

    def probabilities_better(
        self, trials: Sequence[Trial], others: Sequence[Trial], task: Task
    ) -> Floats:
        """`probability_better` of n pairs, shape (n,); what all of them show counts for each."""
        if len(trials) != len(others):
            raise ValueError(f"need as many others as trials, got {len(others)} and {len(trials)}")
        asked = [*trials, *others]
        score, scale = self._scores(asked, task)
        n = len(trials)
        return probability(score[:, :n], scale[:, :n], score[:, n:], scale[:, n:])

    def scores(self, trials: Sequence[Trial], task: Task) -> Floats:
        """Where each run is expected to end, on the sources' scale; shape (n,)."""
        return np.asarray(self._scores(trials, task)[0].mean(axis=0))

    def _scores(self, trials: Sequence[Trial], task: Task) -> tuple[Floats, Floats]:
        if self._trials is None:
            raise ValueError("not fitted")
        if len(trials) == 0:
            return np.zeros((1, 0)), np.zeros((1, 0))
        for trial in trials:
            if len(trial.curve) == 0:
                raise ValueError(f"need a curve of at least one point, got {trial.identity}")
        live = self.live(task.name)
        known = {_key(trial): trial for trial in [*self._trials.where(task=task.name), *trials]}
        for key, trial in known.items():
            live.add(key, trial.architecture)
            live.extend(key, trial.curve.epochs, trial.curve.values)
            if trial.state is TrialState.COMPLETED:
                live.finish(key)
        return live.scores([_key(trial) for trial in trials])


def teaches(trials: Trials, space: SearchSpace) -> bool:
    """Whether a ranker that is fitted to these trials learns anything from them."""
    sources = Sources.of(trials, space, "score")
    return sources is not None and len(sources.tables) >= LEAST


def _key(trial: Trial) -> object:
    return trial.identity, trial.curve.epochs
