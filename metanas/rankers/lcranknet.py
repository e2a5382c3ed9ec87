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
- The chance that stops a run is that of beating the best by a margin (see `WORTH`): the
  paper's soft label of a near tie, used also when deciding. It is weighed against what is
  left to train (`metanas.rankers.play.prospect`).

Why raw units: within one metric a gap means the same on every task, and a scale
guessed from the first runs of a search is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from scipy.stats import norm

from metadata_store.batch import Trials
from metadata_store.records import Task, Trial, TrialState
from metanas.protocols import SearchSpace
from metanas.rankers.boosted import MOST_PARTS, Boosted
from metanas.rankers.curve_table import OUTCOMES, Floats
from metanas.rankers.ensemble import PEERS_SAY, PEERS_SAY_OF_FEW, SUREST, Ensemble, Member
from metanas.rankers.live import InformedSearch, LiveSearch
from metanas.rankers.lone import LoneSearch
from metanas.rankers.margin_net import Lessons, probability, train
from metanas.rankers.peers import Peers
from metanas.rankers.play import Sparing, Wandering, play
from metanas.rankers.runs import Ints, Prior, Runs
from metanas.rankers.searches import Judged, own_scale
from metanas.rankers.source_prior import SourcePrior
from metanas.rankers.sources import Sources

FEW = 8
"""Sources, each of which matters."""

LEAST = 2
"""Sources without which nothing is learned: one does not tell how tasks differ."""

FEWEST = 5
"""Sources from which networks can tell what holds for other tasks."""

LONGEST = 200
"""Runs of a simulated search at most."""

WORTH = 0.1
"""The margin that counts in full, as a share of the scale's width: near ties cost epochs."""

REACH = 1.0
"""By so much of the scale's width must a search leave all sources behind for its ranks alone to
count."""

TRIED, MOST_SEARCHES = 1_200_000, 32
"""Points of runs in the searches that a threshold is chosen on, about, and searches a task at
most: chosen on few, it hangs on their orders."""

BOLDEST = 0.5
"""A threshold is not chosen above it."""

TEMPERATURES = np.exp(np.linspace(-1.0, 1.6, 27))


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
    ) -> None:
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
        self.space, self.outcome = space, outcome
        self._seed, self._factors, self._folds = seed, factors, folds
        self._searches, self._steps = searches, steps
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
        rng = np.random.default_rng(self._seed)
        self.prior = SourcePrior(self.sources.tables, factors=self._factors, rng=rng)
        lessons = self._lessons(rng)
        fold = self._fold_of()
        margin = WORTH * self.sources.scale.width
        members = []
        for part in range(int(fold.max()) + 1):
            mine = lessons.where(fold[lessons.group] != part)
            for own_unit in (False, True):
                centre, width = own_scale(mine.numbers) if own_unit else (mine.centre, mine.width)
                rebased = Lessons(mine.numbers, centre, width, mine.final, mine.rival, mine.group)
                net = train(
                    rebased,
                    np.arange(mine.numbers.shape[1]),
                    seed=int(rng.integers(2**31)),
                    steps=self._steps,
                )
                members.append(Member(net, own_unit, part))
        temperature = self._temperature(members, lessons, fold)
        boosted = self.boosted = Boosted(self.prior.tables, fold % MOST_PARTS, rng=rng)
        enough = len(self.prior.tables) >= FEWEST
        self.ensemble = Ensemble(
            members,
            temperature,
            margin=margin,
            trees=boosted.whole,
            habits=boosted.habits,
            peers=Peers(self.prior.tables),
            keeps=self.outcome == "score",
            peers_say=PEERS_SAY if enough else PEERS_SAY_OF_FEW,
            say=0.5 if enough else 0.0,
        )
        rng = np.random.default_rng(self._seed)
        self.poorest, alone = self._tried(self.sources, boosted, fold, rng)
        # Infinite where most searches begin with a run as good as their best.
        typical = [np.clip(np.median(each), SUREST, 1.0) for each in (self.poorest, alone)]
        self.ensemble.footing = float(np.log(typical[0] / typical[1]))
        self.ensemble.reach = REACH * self.sources.scale.width
        return self

    def threshold(self, risk: float) -> float:
        """The `delta` that stops the best run of at most so many searches on the sources.

        Lost is a search that stops the best run and all that are as good but for chance, as
        far as runs repeated with other seeds tell (see `luckiest`).

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

    # Learning

    @property
    def _learned(self) -> SourcePrior:
        if self.prior is None:
            raise ValueError("no sources to learn from")
        return self.prior

    def _fold_of(self) -> Ints:
        count = len(self._learned.tables)
        folds = self._folds or (3 if count > FEW else count)
        return np.arange(count) % min(folds, count)

    def _lessons(self, rng: np.random.Generator) -> Lessons:
        """Situations from searches on the sources, each as a new task, half of them stretched."""
        count = len(self._learned.tables)
        parts: list[tuple[Prior, Runs]] = []
        group: list[int] = []
        for index in range(count):
            parts.append(self._learned.left_out(index))
            parts.append(self._learned.left_out(index, float(np.exp(rng.uniform(-0.9, 0.9)))))
            group += [index, index]
        runs, priors, starts = _together(parts)
        each = max(1, self._searches // 2)
        task = np.repeat(np.arange(len(parts)), each)
        orders = _orders(runs, starts, task, rng)
        wandering = Wandering(len(task), np.asarray(group)[task], rng, 0.3)
        play(runs, priors, task, orders, wandering, most_steps=900)
        return wandering.lessons()

    def _temperature(self, members: Sequence[Member], lessons: Lessons, fold: Ints) -> float:
        """The one under which unseen sources' outcomes are likeliest."""
        parts = fold[lessons.group]
        up = lessons.final > lessons.rival
        losses = np.zeros(len(TEMPERATURES))
        for part in np.unique(parts):
            rows = parts == part
            judged = Judged(
                lessons.numbers[rows],
                lessons.centre[rows],
                lessons.width[rows],
                lessons.rival[rows],
            )
            found = [member(judged) for member in members if member.fold == part]
            score = np.stack([each[0] for each in found])
            scale = np.stack([each[1] for each in found])
            for index, temperature in enumerate(TEMPERATURES):
                chance = probability(score, scale * temperature, judged.rival, np.zeros(1))
                right = np.where(up[rows], chance, 1.0 - chance)
                losses[index] -= np.log(np.maximum(right, 1e-9)).sum()
        return float(TEMPERATURES[losses.argmin()])

    def _tried(
        self, sources: Sources, boosted: Boosted, fold: Ints, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """The poorest prospect of each search's best run, by networks that have not seen it.

        Of runs as good but for chance it is the one that is given most: when another seed
        would have made another the best, it is enough to keep one of them.

        Returns:
            By the ensemble and by ranks alone, (searches,) each.
        """
        # Noise beyond what counts as a near tie would say that any run is as good as another.
        noise = np.minimum(sources.noise, self.ensemble.margin)
        tables = self._learned.tables
        poorest: tuple[list[Floats], list[Floats]] = [], []
        for part in np.unique(fold):
            judges = Ensemble(
                [member for member in self.ensemble.members if member.fold == part],
                self.ensemble.temperature,
                margin=self.ensemble.margin,
                trees=int(boosted.part[fold == part][0]),
                habits=boosted.habits,
                peers=Peers(
                    [table for table, own in zip(tables, fold, strict=True) if own != part]
                ),
                keeps=self.ensemble.keeps,
                peers_say=self.ensemble.peers_say,
                say=self.ensemble.say,
            )
            ranks = Ensemble((), peers=judges.peers, peers_say=1.0, keeps=judges.keeps)
            parts = [self._learned.left_out(int(index)) for index in np.flatnonzero(fold == part)]
            runs, priors, starts = _together(parts)
            runs = boosted.foretold(runs, judges.trees)
            points = len(fold) * len(sources.grid) * _shortest(starts)
            each = int(np.clip(TRIED // points, self._searches, MOST_SEARCHES))
            task = np.repeat(np.arange(len(parts)), each)
            orders = _orders(runs, starts, task, rng)
            final = runs.final[orders]
            best = np.zeros((len(orders), len(runs)), np.bool_)
            luck = noise[fold == part][task] * luckiest(orders.shape[1])
            close = final >= final.max(axis=1, keepdims=True) - luck[:, None]
            np.put_along_axis(best, orders, close, axis=1)
            for asked, found in zip((judges, ranks), poorest, strict=True):
                sparing = Sparing(asked.chance, 0.03, best, sources.grid.positions)
                play(runs, priors, task, orders, sparing)
                found.append(sparing.poorest)
        return np.concatenate(poorest[0]), np.concatenate(poorest[1])


def teaches(trials: Trials, space: SearchSpace) -> bool:
    """Whether a ranker that is fitted to these trials learns anything from them."""
    sources = Sources.of(trials, space, "score")
    return sources is not None and len(sources.tables) >= LEAST


def _key(trial: Trial) -> object:
    return trial.identity, trial.curve.epochs


def _together(parts: Sequence[tuple[Prior, Runs]]) -> tuple[Runs, list[Prior], Ints]:
    """All runs in one, the priors, and where each task's runs begin; (tasks + 1,)."""
    starts = np.cumsum([0, *(len(runs) for _, runs in parts)])
    return Runs.concat([runs for _, runs in parts]), [prior for prior, _ in parts], starts


def _orders(runs: Runs, starts: Ints, task: Ints, rng: np.random.Generator) -> Ints:
    """A random order of each search's task's runs; as many for each task."""
    shortest = _shortest(starts)
    return np.stack([rng.permutation(np.arange(starts[i], starts[i + 1]))[:shortest] for i in task])


def _shortest(starts: Ints) -> int:
    """Runs of a simulated search."""
    return min(int(np.diff(starts).min()), LONGEST)


def luckiest(runs: int) -> float:
    """What the largest of so many normal numbers is expected to be, about.

    By so many deviations the best of as many runs is better than another seed would make it.
    """
    return float(norm.ppf((runs - 0.375) / (runs + 0.25)))
