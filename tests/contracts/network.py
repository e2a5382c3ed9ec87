"""What every network that a space builds must do."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn


class NetworkContract:
    """Subclasses give a freshly built network, its input's shape and its number of classes."""

    @pytest.fixture
    def network(self) -> nn.Module:
        raise NotImplementedError

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @pytest.fixture
    def n_classes(self) -> int:
        raise NotImplementedError

    def test_it_gives_finite_logits_for_any_batch(
        self, network: nn.Module, input_shape: tuple[int, ...], n_classes: int
    ) -> None:
        network.eval()
        for n in (1, 5):
            logits = network(torch.rand(n, *input_shape))
            assert logits.shape == (n, n_classes)
            assert logits.isfinite().all()

    def test_an_input_is_judged_alone_in_evaluation(
        self, network: nn.Module, input_shape: tuple[int, ...], n_classes: int
    ) -> None:
        network.eval()
        batch = torch.rand(4, *input_shape)
        torch.testing.assert_close(network(batch)[2:3], network(batch[2:3]))

    def test_it_comes_back_from_a_pickle(
        self, network: nn.Module, input_shape: tuple[int, ...], n_classes: int
    ) -> None:
        network.eval()
        batch = torch.rand(2, *input_shape)
        again = pickle.loads(pickle.dumps(network))
        assert torch.equal(again(batch), network(batch))

    def test_a_step_of_descent_changes_it_and_leaves_it_finite(
        self, network: nn.Module, input_shape: tuple[int, ...], n_classes: int
    ) -> None:
        network.train()
        before = [each.clone() for each in network.parameters()]
        labels = torch.arange(8) % n_classes
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            loss = nn.functional.cross_entropy(network(torch.rand(8, *input_shape)), labels)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        after = list(network.parameters())
        assert all(each.isfinite().all() for each in after)
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))

    def test_torch_export_takes_it_whole(
        self, network: nn.Module, input_shape: tuple[int, ...], n_classes: int
    ) -> None:
        network.eval()
        batch = torch.rand(2, *input_shape)
        program = torch.export.export(network, (batch,), strict=False)
        torch.testing.assert_close(program.module()(batch), network(batch))
