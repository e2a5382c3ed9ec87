import math
from functools import partial

import numpy as np
import pytest
import torch

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.rankers.lcranknet import LCRankNet
from metanas.rankers.learning import luckiest
from metanas.rankers.margin_net import SLOPE, pair_loss, probability
from metanas.rankers.replay import replay
from tests.contracts.ranker import EPOCHS, SPACE, RankerContract, choices, run, source_trials

Quick = partial(LCRankNet, folds=2, searches=2, steps=60)


@pytest.fixture(scope="module")
def fitted() -> LCRankNet:
    return Quick(space=SPACE).fit(source_trials(), {})


class TestLCRankNet(RankerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def make(cls) -> partial[LCRankNet]:
        return Quick


class TestWithoutSources(RankerContract):
    """It falls back on what the task's own runs show."""

    @pytest.fixture(scope="class")
    @classmethod
    def make(cls) -> partial[LCRankNet]:
        return Quick

    @pytest.fixture(scope="class")
    @classmethod
    def ranker(cls, make: partial[LCRankNet]) -> LCRankNet:
        return make(space=SPACE, seed=0).fit([], {})

    def test_a_batch_of_trials_teaches_the_same_as_a_list(
        self, make: partial[LCRankNet], ranker: LCRankNet
    ) -> None:
        with pytest.raises(ValueError, match="no sources"):
            ranker.threshold(0.05)


def test_the_chance_is_logistic_in_the_difference_over_the_joint_scale() -> None:
    score, scale = np.array([[0.6], [0.7]]), np.array([[0.3], [0.1]])
    rival, width = np.array([[0.5], [0.5]]), np.array([[0.4], [0.0]])
    odds = SLOPE * np.array([0.1 / 0.5, 0.2 / 0.1])
    expected = np.mean(1.0 / (1.0 + np.exp(-odds)))
    assert probability(score, scale, rival, width)[0] == pytest.approx(expected)


def test_a_near_tie_is_worth_less_than_a_clear_gain() -> None:
    rival, sure = np.array([0.5]), np.full((1, 1), 1e-9)

    def chance(score: float) -> float:
        return float(probability(np.array([[score]]), sure, rival, np.zeros(1), margin=0.1)[0])

    assert chance(0.4) == pytest.approx(0.0)
    assert chance(0.52) == pytest.approx(0.2)
    assert chance(0.7) == pytest.approx(1.0)


def test_the_loss_prefers_the_truth_to_what_is_off_or_too_sure() -> None:
    final, rival = torch.randn(500), torch.zeros(500)
    zero = torch.zeros(500)
    right = pair_loss(final, zero - 2.0, final, rival)
    off = pair_loss(-final, zero - 2.0, final, rival)
    unsure = pair_loss(zero, zero, final, rival)
    assert right < unsure < off


def test_the_lower_the_risk_the_lower_the_threshold(fitted: LCRankNet) -> None:
    assert fitted.threshold(0.0) <= fitted.threshold(0.05) <= fitted.threshold(0.5)
    with pytest.raises(ValueError, match="risk"):
        fitted.threshold(1.5)


@pytest.mark.parametrize("risk", [0.0, 0.2, 0.5])
def test_the_threshold_meets_the_risk_on_the_sources(fitted: LCRankNet, risk: float) -> None:
    assert np.mean(fitted.poorest <= fitted.threshold(risk)) <= risk


def test_stopping_saves_epochs_and_keeps_a_good_run(fitted: LCRankNet) -> None:
    trials = Trials.of([run("new", *choice, scale=0.9) for choice in choices(40, 11)])
    orders = np.stack([np.random.default_rng(seed).permutation(40) for seed in range(3)])
    lengths, positions = replay(fitted, trials, orders, [fitted.threshold(0.05), 0.0])
    assert lengths.shape == (2, 3, 40)
    assert (lengths[1] == len(positions)).all()
    assert lengths[0].mean() < 0.8 * len(positions)
    kept = [trials.scores[row == len(positions)].max() for row in lengths[0]]
    assert np.min(kept) > trials.scores.max() - 0.1


def test_a_live_search_stops_where_the_replayed_one_does(fitted: LCRankNet) -> None:
    picked = [run("new", *choice, scale=0.9) for choice in choices(25, 12)]
    order = np.random.default_rng(0).permutation(25)
    delta = fitted.threshold(0.3)
    replayed, positions = replay(fitted, Trials.of(picked), order[None], [delta])
    live = fitted.live("new")
    lengths = np.full(25, len(positions))
    for row in order:
        live.add(row, picked[row].architecture)
        curve = picked[row].curve
        for length in range(1, len(positions)):
            live.extend(row, curve.epochs[:length], curve.values[:length])
            chance = live.chance(row)
            if chance is not None and chance <= delta * live.left(row):
                lengths[row] = length
                break
        else:
            live.extend(row, curve.epochs, curve.values)
            live.finish(row)
    np.testing.assert_array_equal(lengths, replayed[0, 0])


def test_runs_seen_on_the_task_sharpen_what_is_expected(fitted: LCRankNet) -> None:
    """A task where the choices are worth the opposite of the sources."""

    def opposite(rate: float, units: int, upto: int = EPOCHS) -> Trial:
        known = run("new", rate, units, upto=upto)
        values = tuple(1.0 - value for value in known.curve.values)
        return Trial(
            "new",
            known.architecture,
            type(known.curve)("accuracy", known.curve.epochs, values),
            known.state,
            0,
            "made up",
        )

    seen = [opposite(*choice) for choice in choices(20, 13)]
    knowing = Quick(space=SPACE).fit([*source_trials(), *seen], {})
    asked = choices(20, 14)
    truth = [opposite(*choice).curve.values[-1] for choice in asked]
    starts = [opposite(*choice, upto=1) for choice in asked]
    blind = np.corrcoef(fitted.scores(starts, Task.table("new")), truth)[0, 1]
    told = np.corrcoef(knowing.scores(starts, Task.table("new")), truth)[0, 1]
    assert told > blind + 0.3


def test_an_affine_change_of_the_metric_changes_no_chance() -> None:
    """To rounding: what is learned is learned in the sources' unit."""

    def chance(scale: float, shift: float) -> float:
        def moved(trial: Trial) -> Trial:
            values = tuple(shift + scale * value for value in trial.curve.values)
            curve = type(trial.curve)("loss", trial.curve.epochs, values)
            return Trial(trial.task, trial.architecture, curve, trial.state, 0, "made up")

        made = Quick(space=SPACE).fit([moved(trial) for trial in source_trials()], {})
        a, b = moved(run("new", 0.05, 4, upto=4)), moved(run("new", 0.01, 2))
        return made.probability_better(a, b, Task.table("new"))

    assert chance(1.0, 0.0) == pytest.approx(chance(8.0, 0.0), abs=0.05)


def test_diverged_sources_are_learned_from() -> None:
    trials = source_trials()
    bad = trials[3]
    curve = type(bad.curve)("accuracy", bad.curve.epochs, (*bad.curve.values[:4], *[math.nan] * 6))
    broken = Trial(bad.task, bad.architecture, curve, bad.state, 1, "made up")
    made = Quick(space=SPACE).fit([*trials, broken], {})
    found = made.scores([run("new", *choice, upto=5) for choice in choices(5, 3)], Task.table("x"))
    assert np.isfinite(found).all()


def test_another_space_and_an_unknown_outcome_are_refused() -> None:
    known = run("one", 0.1, 2)
    stranger = Trial("one", Architecture("other", {"a": 1}), known.curve, known.state, 0, "made up")
    with pytest.raises(ValueError, match="other"):
        LCRankNet(space=SPACE).fit([stranger], {})
    with pytest.raises(ValueError, match="outcome"):
        LCRankNet(space=SPACE, outcome="mean")
    with pytest.raises(ValueError, match="not fitted"):
        LCRankNet(space=SPACE).scores([known], Task.table("new"))


@pytest.mark.parametrize("runs", [10, 200])
def test_the_luckiest_of_many_runs_is_as_lucky_as_the_largest_of_normal_numbers(runs: int) -> None:
    drawn = np.random.default_rng(0).normal(size=(4000, runs)).max(axis=1).mean()
    assert luckiest(runs) == pytest.approx(drawn, abs=0.03)


def test_a_run_whose_best_is_ahead_has_won_however_many_were_seen() -> None:
    live = Quick(space=SPACE, outcome="score").fit(source_trials(), {}).live("new")
    known = [run("new", *choice, scale=0.9) for choice in choices(60, 12)]
    for key, trial in enumerate(known):
        live.add(key, trial.architecture)
        live.extend(key, trial.curve.epochs, trial.curve.values)
        live.finish(key)
    best = live.best
    assert best is not None
    live.add("ahead", known[0].architecture)
    live.extend("ahead", [1], [best + 1e-3])
    assert live.chance("ahead") == 1.0
    live.add("behind", known[0].architecture)
    live.extend("behind", [1], [best - 1e-3])
    behind = live.chance("behind")
    assert behind is not None
    assert behind < 1.0


def test_sources_whose_runs_all_end_alike_still_let_runs_be_stopped() -> None:
    """A search begins with a run as good as its best, and no best one is ever asked for."""

    def same(trial: Trial, seed: int) -> Trial:
        begun = 0.4 * np.random.default_rng(seed).random(EPOCHS - 1)
        curve = type(trial.curve)("accuracy", trial.curve.epochs, (*begun.tolist(), 0.5))
        return Trial(trial.task, trial.architecture, curve, trial.state, 0, "made up")

    trials = [same(trial, number) for number, trial in enumerate(source_trials())]
    made = Quick(space=SPACE, outcome="score").fit(trials, {})
    assert np.isinf(made.poorest).all()
    assert math.isfinite(made.ensemble.footing)
    live = made.live("new")
    for key, choice in enumerate(choices(4, 12)):
        trial = run("new", *choice)
        live.add(key, trial.architecture)
        live.extend(key, trial.curve.epochs, trial.curve.values)
        live.finish(key)
    live.add("poor", trials[0].architecture)
    live.extend("poor", [1, 2, 3], [0.0, 0.0, 0.0])
    chance = live.chance("poor")
    assert chance is not None
    assert chance < 0.5
