import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors.recommend import SeesScenarios
from metanas.predictors.source_weights import WeighsSources
from metanas.predictors.tapas import Tapas
from metanas.spaces import NasBench201
from tests.contracts.predictor import LearningPredictorContract, pretended, trial


class TestTapas(LearningPredictorContract):
    @pytest.fixture
    def make(self) -> Callable[..., Tapas]:
        return partial(Tapas, members=4, steps=60)  # as good as the defaults here, and faster

    @pytest.mark.parametrize("option", [{"members": 0}, {"steps": 0}])
    def test_needs_members_and_steps(self, option: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            Tapas(space=self.space, **option)

    def test_is_the_same_for_a_seed_and_leaves_the_global_one_alone(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        task = Task.table("new")
        torch.manual_seed(5)
        wanted = torch.rand(1)
        torch.manual_seed(5)
        means = [
            Tapas(space=self.space, steps=30, seed=seed)
            .fit(trials, self.tasks)
            .predict(architectures, task)
            .mean
            for seed in (0, 0, 1)
        ]
        assert torch.rand(1) == wanted
        np.testing.assert_array_equal(means[0], means[1])
        assert not np.array_equal(means[0], means[2])

    def test_scores_of_negated_losses_do_as_well_as_accuracies(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        losses = [trial(t.task, t.architecture, -1000.0 * (1.0 - (t.score or 0.0))) for t in trials]
        task = Task.table("new")
        ours, theirs = (
            Tapas(space=self.space, members=4, steps=60)
            .fit(rows, self.tasks)
            .predict(architectures, task)
            .mean
            for rows in (trials, losses)
        )
        np.testing.assert_allclose(ours, theirs)

    def test_believes_tasks_more_that_are_alike(self, architectures: list[Architecture]) -> None:
        some = architectures[:60]
        trials = [trial("easy", a, pretended(a)) for a in some]
        trials += [trial("hard", a, 1.0 - pretended(a)) for a in some]
        tasks = {n: replace(Task.table(n), dcn=d) for n, d in (("easy", 0.9), ("hard", 0.1))}
        predictor = Tapas(space=self.space, members=4, steps=60).fit(trials, tasks)
        truth = [pretended(a) for a in architectures]
        for dcn, sign in ((0.9, 1), (0.1, -1)):
            mean = predictor.predict(architectures, replace(Task.table("new"), dcn=dcn)).mean
            assert sign * np.corrcoef(mean, truth)[0, 1] > 0.5

    def test_own_trials_outweigh_those_of_others(self, architectures: list[Architecture]) -> None:
        some = architectures[:60]
        trials = [trial("other", a, pretended(a)) for a in some]
        trials += [trial("own", a, 1.0 - pretended(a)) for a in some]
        predictor = Tapas(space=self.space, members=4, steps=60).fit(trials, {})
        truth = [pretended(a) for a in architectures]
        mean = predictor.predict(architectures, Task.table("own")).mean
        assert np.corrcoef(mean, truth)[0, 1] < -0.3

    def test_is_less_sure_where_the_sources_disagree(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        contrary = [
            replace_score(t, 1.0 - (t.score or 0.0)) if t.task == "two" else t for t in trials
        ]
        task = Task.table("new")
        agree, disagree = (
            Tapas(space=self.space, members=4, steps=60)
            .fit(rows, self.tasks)
            .predict(architectures, task)
            .std.mean()
            for rows in (trials, contrary)
        )
        assert disagree > 2.0 * agree

    def test_scenarios_scatter_around_the_mean(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        predictor = Tapas(space=self.space, members=4, steps=60).fit(trials, self.tasks)
        assert isinstance(predictor, SeesScenarios)
        task = Task.table("new")
        drawn = predictor.scenarios(architectures, task, n=64, seed=0)
        assert drawn.shape == (64, len(architectures))
        mean = predictor.predict(architectures, task).mean
        np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.1)
        again = predictor.scenarios(architectures, task, n=64, seed=0)
        np.testing.assert_array_equal(drawn, again)

    def test_the_order_of_the_trials_makes_no_difference(
        self, trials: list[Trial], architectures: list[Architecture]
    ) -> None:
        shuffled = [trials[i] for i in np.random.default_rng(0).permutation(len(trials))]
        task = Task.table("new")
        ours, theirs = (
            Tapas(space=self.space, members=2, steps=20).fit(rows, {}).predict(architectures, task)
            for rows in (trials, shuffled)
        )
        np.testing.assert_array_equal(ours.mean, theirs.mean)
        np.testing.assert_array_equal(ours.std, theirs.std)

    def test_says_how_much_it_trusts_each_source(self, architectures: list[Architecture]) -> None:
        names = ("near", "far", "own")
        trials = [trial(name, a, pretended(a)) for name in names for a in architectures[:20]]
        dcns = {"near": 0.9, "far": 0.1}
        tasks = {name: replace(Task.table(name), dcn=dcn) for name, dcn in dcns.items()}
        predictor = Tapas(space=self.space, members=1, steps=1).fit(trials, tasks)
        assert isinstance(predictor, WeighsSources)
        weights = predictor.source_weights(replace(Task.table("own"), dcn=0.85))
        assert weights.keys() == set(names)
        assert sum(weights.values()) == pytest.approx(1.0)
        assert weights["own"] == pytest.approx(0.5)
        assert weights["near"] > weights["far"] > 0.0

    def test_trusts_nothing_before_it_is_fitted(self) -> None:
        with pytest.raises(ValueError, match="not fitted"):
            Tapas(space=self.space).source_weights(Task.table("new"))

    def test_cells_that_compute_the_same_score_the_same(self, trials: list[Trial]) -> None:
        space = NasBench201()
        twins = [
            space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"),
            space.parse("|none~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|none~1|skip_connect~2|"),
        ]
        mean = Tapas(space=space).fit(trials, self.tasks).predict(twins, Task.table("new")).mean
        assert mean[0] == pytest.approx(mean[1], abs=1e-6)

    def test_scores_ten_thousand_architectures_a_second(self, trials: list[Trial]) -> None:
        everything = self.space.enumerate()
        predictor = Tapas(space=self.space, members=4, steps=60).fit(trials, self.tasks)
        task = Task.table("new")
        predictor.predict(everything[:10], task)  # the space's tables are made once
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            predictor.predict(everything, task)
            seconds.append(time.perf_counter() - started)
        assert min(seconds) < 1.5


def replace_score(old: Trial, score: float) -> Trial:
    return trial(old.task, old.architecture, score, old.seed)
