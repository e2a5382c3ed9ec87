from functools import partial

import numpy as np
import pytest
import torch

from metadata_store.records import Architecture, Task
from metanas.rankers.lcranknet_paper import LCRankNetPaper, RankNet, rank_loss
from tests.contracts.ranker import SPACE, RankerContract, choices, run, source_trials


class TestLCRankNetPaper(RankerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def make(cls) -> partial[LCRankNetPaper]:
        return partial(LCRankNetPaper, steps=120, pairs=96, lr=4e-3)

    def test_the_chance_is_the_logistic_function_of_the_scores_difference(
        self, ranker: LCRankNetPaper
    ) -> None:
        a, b = run("new", 0.01, 4, upto=3), run("new", 0.3, 2)
        one, two = ranker.scores([a, b], self.task)
        expected = np.exp(one - two) / (1.0 + np.exp(one - two))
        assert ranker.probability_better(a, b, self.task) == pytest.approx(expected, rel=1e-6)

    def test_a_task_it_knows_is_told_apart_from_an_unknown_one(
        self, ranker: LCRankNetPaper
    ) -> None:
        a = [run("new", 0.01, 4, upto=3)]
        assert ranker.scores(a, Task.table("one")) != ranker.scores(a, Task.table("new"))
        assert ranker.scores(a, Task.table("newer")) == ranker.scores(a, Task.table("new"))


def test_the_loss_of_a_sure_pair_is_minus_the_logarithm_of_its_chance() -> None:
    one, two = torch.tensor([0.7]), torch.tensor([-0.4])
    loss = rank_loss(one, two, torch.tensor([1.0]), torch.tensor([0.0]))
    assert float(loss) == pytest.approx(-np.log(1.0 / (1.0 + np.exp(-1.1))), rel=1e-5)


def test_near_ties_have_a_label_between_zero_and_one() -> None:
    one, two, near = torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([0.5])
    sure = rank_loss(one, two, near + 1.0, near)
    tie = rank_loss(one, two, near, near)
    assert float(tie) == pytest.approx(0.5 * (float(sure) + float(sure) + 3.0), rel=1e-5)


def test_what_follows_the_cut_does_not_matter() -> None:
    torch.manual_seed(0)
    net = RankNet(4, 3, 2).eval()
    layers, numbers = torch.rand(2, 5, 4), torch.rand(2, 3)
    curves = torch.rand(2, 9)
    other = curves.clone()
    other[:, 4:] = 7.0
    lengths, task = torch.tensor([4, 3]), torch.tensor([0, 1])
    here, _ = net(layers, curves, lengths, numbers, task)
    there, _ = net(layers, other, lengths, numbers, task)
    torch.testing.assert_close(here, there)


def test_learning_from_another_space_or_from_nothing_is_refused() -> None:
    stranger = run("one", 0.01, 2)
    moved = type(stranger)(
        stranger.task,
        Architecture("elsewhere", {"rate": 0.1}),
        stranger.curve,
        stranger.state,
        0,
        "made up",
    )
    with pytest.raises(ValueError, match="elsewhere"):
        LCRankNetPaper(space=SPACE).fit([moved], {})
    with pytest.raises(ValueError, match="finished curves"):
        LCRankNetPaper(space=SPACE).fit([], {})
    with pytest.raises(ValueError, match="not fitted"):
        LCRankNetPaper(space=SPACE).scores([stranger], Task.table("new"))


def test_the_same_seed_gives_the_same_ranker() -> None:
    def fitted(seed: int) -> np.ndarray:
        made = LCRankNetPaper(space=SPACE, seed=seed, steps=3, pairs=16)
        made.fit(source_trials(count=9), {})
        return made.scores([run("new", *c, upto=4) for c in choices(3, 5)], Task.table("new"))

    np.testing.assert_array_equal(fitted(1), fitted(1))
    assert (fitted(1) != fitted(2)).all()
