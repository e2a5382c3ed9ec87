"""What every meta-learner must do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from metanas.meta.batch import Batch, batch_of
from metanas.meta.learner import MetaLearner
from metanas.meta.plan import Plan
from metanas.meta.training import MetaTraining
from tasks.episodes import draw
from tests.contracts.drawings import drawn_classes

SHAPE = (1, 12, 12)
WAYS = 3


class MetaLearnerContract:
    """Subclass it with a fixture ``learner`` for images of `SHAPE`, `WAYS` and 12 classes."""

    @pytest.fixture
    def batch(self) -> Batch:
        return batch_of(draw(drawn_classes(12, 6), range(2), ways=WAYS, shots=2, queries=3, seed=0))

    def test_is_a_meta_learner(self, learner: MetaLearner) -> None:
        assert isinstance(learner, MetaLearner)

    def test_starts_from_the_seed(self, learner: MetaLearner) -> None:
        torch.manual_seed(1)
        one, again, other = learner.initial(0), learner.initial(0), learner.initial(1)
        assert one.keys() == again.keys()
        assert all(torch.equal(one[name], again[name]) for name in one)
        assert any(not torch.equal(one[name], other[name]) for name in one)

    def test_each_query_gets_a_logit_a_class(self, learner: MetaLearner, batch: Batch) -> None:
        parameters = learner.initial(0)
        before = {name: p.clone() for name, p in parameters.items()}
        logits = learner.logits(parameters, batch)
        assert logits.shape == (2, 9, WAYS)
        assert logits.isfinite().all()
        assert all(torch.equal(parameters[name], before[name]) for name in before)

    def test_tasks_do_not_disturb_each_other(self, learner: MetaLearner, batch: Batch) -> None:
        # In double precision: steps from random weights make much of rounding.
        parameters = {name: p.double() for name, p in learner.initial(0).items()}
        both = replace(batch, support=batch.support.double(), query=batch.query.double())
        alone = Batch(
            both.support[1:],
            both.support_labels[1:],
            both.query[1:],
            both.query_labels[1:],
            both.classes[1:],
        )
        judged, one = learner.logits(parameters, both), learner.logits(parameters, alone)
        torch.testing.assert_close(judged[1:], one, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("progress", [0.0, 1.0])
    def test_what_it_learns_gets_gradients(
        self, learner: MetaLearner, batch: Batch, progress: float
    ) -> None:
        parameters = {n: p.requires_grad_() for n, p in learner.initial(0).items()}
        loss = learner.loss(parameters, batch, progress=progress)
        assert 0.0 <= loss.accuracy <= 1.0
        torch.autograd.backward(loss.value)
        learned = tuple(name for turn in learner.turns for name in turn)
        got = [n for n, p in parameters.items() if p.grad is not None and p.grad.abs().sum() > 0]
        assert got
        assert all(name.startswith(learned) for name in got)

    def test_training_makes_it_better(self, learner: MetaLearner) -> None:
        train, other = drawn_classes(12, 8), drawn_classes(6, 8, seed=1)
        plan = Plan(
            ways=WAYS,
            shots=2,
            queries=3,
            batch=4,
            iterations=24,
            lr=0.01,
            warp=0.0,
            every=6,
            validation_ways=WAYS,
            validation_shots=2,
            validation_episodes=4,
        )
        points = list(MetaTraining(learner, train, other, plan))
        assert [point.iteration for point in points] == [6, 12, 18, 24]
        assert points[-1].loss < points[0].loss
