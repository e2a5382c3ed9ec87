"""What LCRankNet learns from its sources, see `metanas.rankers.lcranknet`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from metanas.rankers.boosted import MOST_PARTS, Boosted
from metanas.rankers.curve_table import Floats
from metanas.rankers.ensemble import PEERS_SAY, PEERS_SAY_OF_FEW, SUREST, Ensemble, Member
from metanas.rankers.margin_net import Lessons, probability, train
from metanas.rankers.peers import Peers
from metanas.rankers.play import Sparing, Wandering, play
from metanas.rankers.runs import Ints, Prior, Runs
from metanas.rankers.searches import Judged, own_scale
from metanas.rankers.source_prior import SourcePrior
from metanas.rankers.sources import Sources
from tasks.one_thread import one_thread

FEW = 8
"""Sources, each of which matters."""

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

TEMPERATURES = np.exp(np.linspace(-1.0, 1.6, 27))


@dataclass(frozen=True)
class Learned:
    """What sources taught.

    Attributes:
        poorest: the poorest prospect of the best run in each search that was simulated to
            choose a threshold on, (searches,).
    """

    prior: SourcePrior
    boosted: Boosted
    ensemble: Ensemble
    poorest: Floats


@dataclass(frozen=True)
class Learner:
    """How a ranker learns; for its attributes see `metanas.rankers.lcranknet.LCRankNet`."""

    outcome: str
    factors: int
    folds: int | None
    searches: int
    steps: int
    seed: int

    @one_thread()
    def __call__(self, sources: Sources) -> Learned:
        """From two sources or more."""
        rng = np.random.default_rng(self.seed)
        prior = SourcePrior(sources.tables, factors=self.factors, rng=rng)
        lessons = self._lessons(prior, rng)
        fold = self._fold_of(len(prior.tables))
        members = self._members(lessons, fold, rng)
        temperature = _temperature(members, lessons, fold)
        boosted = Boosted(prior.tables, fold % MOST_PARTS, rng=rng)
        enough = len(prior.tables) >= FEWEST
        ensemble = Ensemble(
            members,
            temperature,
            margin=WORTH * sources.scale.width,
            trees=boosted.whole,
            habits=boosted.habits,
            peers=Peers(prior.tables),
            keeps=self.outcome == "score",
            peers_say=PEERS_SAY if enough else PEERS_SAY_OF_FEW,
            say=0.5 if enough else 0.0,
        )
        poorest, alone = self._tried(sources, prior, boosted, ensemble, fold)
        # Infinite where most searches begin with a run as good as their best.
        typical = [np.clip(np.median(each), SUREST, 1.0) for each in (poorest, alone)]
        ensemble.footing = float(np.log(typical[0] / typical[1]))
        ensemble.reach = REACH * sources.scale.width
        return Learned(prior, boosted, ensemble, poorest)

    def _fold_of(self, count: int) -> Ints:
        folds = self.folds or (3 if count > FEW else count)
        return np.arange(count) % min(folds, count)

    def _lessons(self, prior: SourcePrior, rng: np.random.Generator) -> Lessons:
        """Situations from searches on the sources, each as a new task, half of them stretched."""
        count = len(prior.tables)
        parts: list[tuple[Prior, Runs]] = []
        group: list[int] = []
        for index in range(count):
            parts.append(prior.left_out(index))
            parts.append(prior.left_out(index, float(np.exp(rng.uniform(-0.9, 0.9)))))
            group += [index, index]
        runs, priors, starts = _together(parts)
        each = max(1, self.searches // 2)
        task = np.repeat(np.arange(len(parts)), each)
        orders = _orders(runs, starts, task, rng)
        wandering = Wandering(len(task), np.asarray(group)[task], rng, 0.3)
        play(runs, priors, task, orders, wandering, most_steps=900)
        return wandering.lessons()

    def _members(self, lessons: Lessons, fold: Ints, rng: np.random.Generator) -> list[Member]:
        """Two networks for each part of the sources, which they do not see."""
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
                    steps=self.steps,
                )
                members.append(Member(net, own_unit, part))
        return members

    def _tried(
        self,
        sources: Sources,
        prior: SourcePrior,
        boosted: Boosted,
        ensemble: Ensemble,
        fold: Ints,
    ) -> tuple[Floats, Floats]:
        """The poorest prospect of each search's best run, by networks that have not seen it.

        Of runs as good but for chance it is the one that is given most: when another seed
        would have made another the best, it is enough to keep one of them.

        Returns:
            By the ensemble and by ranks alone, (searches,) each.
        """
        rng = np.random.default_rng(self.seed)
        # Noise beyond what counts as a near tie would say that any run is as good as another.
        noise = np.minimum(sources.noise, ensemble.margin)
        tables = prior.tables
        poorest: tuple[list[Floats], list[Floats]] = [], []
        for part in np.unique(fold):
            judges = Ensemble(
                [member for member in ensemble.members if member.fold == part],
                ensemble.temperature,
                margin=ensemble.margin,
                trees=int(boosted.part[fold == part][0]),
                habits=boosted.habits,
                peers=Peers(
                    [table for table, own in zip(tables, fold, strict=True) if own != part]
                ),
                keeps=ensemble.keeps,
                peers_say=ensemble.peers_say,
                say=ensemble.say,
            )
            ranks = Ensemble((), peers=judges.peers, peers_say=1.0, keeps=judges.keeps)
            parts = [prior.left_out(int(index)) for index in np.flatnonzero(fold == part)]
            runs, priors, starts = _together(parts)
            runs = boosted.foretold(runs, judges.trees)
            points = len(fold) * len(sources.grid) * _shortest(starts)
            each = int(np.clip(TRIED // points, self.searches, MOST_SEARCHES))
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


def _temperature(members: Sequence[Member], lessons: Lessons, fold: Ints) -> float:
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
