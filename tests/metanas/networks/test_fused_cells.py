import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from metanas.networks.cell_network import cell_network
from metanas.networks.fused_cells import FusedCells
from metanas.networks.ops import OPERATIONS

NAMES = list(OPERATIONS)
EDGES = [f"op_{i}_{j}" for j in range(1, 4) for i in range(j)]


def network(operations: Sequence[int], *, cells: int = 1, width: int = 3) -> nn.Module:
    choices = {edge: NAMES[which] for edge, which in zip(EDGES, operations, strict=True)}
    return cell_network(choices, input_shape=(2, 6, 7), n_classes=3, width=width, cells=cells)


def optimizer(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)


def trained(networks: Sequence[nn.Module], steps: int = 3) -> FusedCells:
    """The fusion after some steps; the networks themselves are trained alone."""
    torch.manual_seed(1)
    fused = FusedCells(networks)
    ours, theirs = optimizer(fused), [optimizer(each) for each in networks]
    for _ in range(steps):
        images = torch.randn(8, 2, 6, 7, dtype=torch.float64)
        labels = torch.randint(0, 3, (8,))
        ours.zero_grad()
        losses = [functional.cross_entropy(logits, labels) for logits in fused(images)]
        torch.autograd.backward(torch.stack(losses).sum())
        ours.step()
        for each, descent in zip(networks, theirs, strict=True):
            descent.zero_grad()
            torch.autograd.backward(functional.cross_entropy(each(images), labels))
            descent.step()
    return fused


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=5),
    st.integers(1, 2),
)
def test_each_network_learns_as_it_would_alone(drawn: list[list[int]], cells: int) -> None:
    torch.manual_seed(0)
    networks = [network(each, cells=cells).double() for each in drawn]
    fused = trained(networks).eval()
    images = torch.randn(5, 2, 6, 7, dtype=torch.float64)
    for each, logits in zip(networks, fused(images), strict=True):
        torch.testing.assert_close(each.eval()(images), logits, rtol=1e-8, atol=1e-9)


def test_networks_get_back_what_they_learned() -> None:
    torch.manual_seed(0)
    drawn = np.random.default_rng(0).integers(0, 5, (6, 6))
    alone = [network(each).double() for each in drawn.tolist()]
    fused_ones = copy.deepcopy(alone)
    trained(alone)
    fused = FusedCells(fused_ones)
    fused.load_state_dict(trained(copy.deepcopy(alone), steps=2).state_dict())
    fused.eval().restore()
    images = torch.randn(5, 2, 6, 7, dtype=torch.float64)
    for each, logits in zip(fused_ones, fused(images), strict=True):
        torch.testing.assert_close(each.eval()(images), logits, rtol=1e-8, atol=1e-9)


def test_one_that_diverges_leaves_the_others_alone() -> None:
    torch.manual_seed(0)
    good, bad = network([3] * 6), network([3] * 6)
    with torch.no_grad():
        next(bad.parameters()).fill_(float("nan"))
    fused = FusedCells([good, bad])
    logits = fused(torch.randn(4, 2, 6, 7))
    assert logits[0].isfinite().all()
    assert logits[1].isnan().all()
    torch.autograd.backward(logits[0].sum() + logits[1].sum())
    before = good.state_dict()["0.0.weight"].clone()
    optimizer(fused).step()
    fused.restore()
    after = good.state_dict()["0.0.weight"]
    assert after.isfinite().all()
    assert not torch.equal(before, after)


def test_networks_that_are_not_alike_cannot_be_fused() -> None:
    with pytest.raises(ValueError, match="need cell networks built with the same width"):
        FusedCells([network([3] * 6), network([3] * 6, width=4)])
    with pytest.raises(ValueError, match="need cell networks"):
        FusedCells([nn.Linear(2, 3)])
    with pytest.raises(ValueError, match="need cell networks"):
        FusedCells([])
