"""The benchmark's network, its parameters and what is left uncomputed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from metanas.networks.cell_network import Cell, cell_network, live_edges, operations
from metanas.networks.ops import OPERATIONS
from tests.contracts.network import NetworkContract

EDGES = ("op_0_1", "op_0_2", "op_1_2", "op_0_3", "op_1_3", "op_2_3")
TABLE = Path(__file__).parents[4] / "shared/data/nasbench201_cifar10.parquet"


def cell(*ops: str) -> dict[str, str]:
    """Choices in the order of `EDGES`."""
    return dict(zip(EDGES, ops, strict=True))


ALL_CONV = cell(*["nor_conv_3x3"] * 6)
MIXED = cell("nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "none", "nor_conv_3x3")


def parameters(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


class TestMixedCell(NetworkContract):
    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (3, 16, 12)

    @pytest.fixture
    def n_classes(self) -> int:
        return 7

    @pytest.fixture
    def network(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        return cell_network(MIXED, input_shape=input_shape, n_classes=n_classes, width=4, cells=2)


class TestOddImages(NetworkContract):
    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (1, 9, 3)

    @pytest.fixture
    def n_classes(self) -> int:
        return 2

    @pytest.fixture
    def network(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        return cell_network(
            ALL_CONV, input_shape=input_shape, n_classes=n_classes, width=3, cells=1
        )


class TestDeadCell(NetworkContract):
    """Nothing passes through, so only the last layer learns."""

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (1, 8, 8)

    @pytest.fixture
    def n_classes(self) -> int:
        return 3

    @pytest.fixture
    def network(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        return cell_network(
            cell("nor_conv_3x3", "none", "nor_conv_1x1", "none", "none", "none"),
            input_shape=input_shape,
            n_classes=n_classes,
            width=4,
            cells=1,
        )


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ("none", 73_306),
        ("skip_connect", 73_306),
        ("avg_pool_3x3", 73_306),
        ("nor_conv_1x1", 241_306),
        ("nor_conv_3x3", 1_531_546),
    ],
)
def test_parameters_are_the_benchmarks(operation: str, wanted: int) -> None:
    network = cell_network(cell(*[operation] * 6), input_shape=(3, 32, 32), n_classes=10)
    assert parameters(network) == wanted


def test_parameters_are_the_benchmarks_for_a_sample_of_its_cells() -> None:
    if not TABLE.exists():
        pytest.skip(f"needs the NAS-Bench-201 table at {TABLE}")
    rows = pq.read_table(TABLE, columns=["architecture", "extras"]).to_pylist()
    picked = np.random.default_rng(0).choice(len(rows), 40, replace=False)
    wanted, got = [], []
    for row in picked:
        choices = json.loads(rows[row]["architecture"])
        wanted.append(json.loads(rows[row]["extras"])["params"])
        got.append(parameters(cell_network(choices, input_shape=(3, 32, 32), n_classes=10)))
    # In 204 of the table's 15,625 rows the count is a mean over cells that compute the same.
    off = [(a, b) for a, b in zip(got, wanted, strict=True) if a != b]
    assert len(off) <= 3, off


def test_edges_off_every_path_are_not_computed_and_change_nothing() -> None:
    dangling = cell("nor_conv_3x3", "none", "none", "skip_connect", "none", "nor_conv_1x1")
    assert live_edges(operations(dangling)) == ((0, 3),)
    module = Cell(operations(dangling), 4)
    x = torch.rand(2, 4, 5, 5, requires_grad=True)
    assert torch.equal(module(x), x)
    module(x).sum().backward()
    assert all(each.grad is None for each in module.parameters())
    assert parameters(module) == (4 * 4 * 9 + 8) + (4 * 4 + 8)


def test_a_node_is_the_sum_of_its_edges() -> None:
    module = Cell(operations(cell(*["skip_connect"] * 6)), 2)
    x = torch.rand(1, 2, 3, 3)
    torch.testing.assert_close(module(x), 4 * x)  # node 1 = x, node 2 = 2x, node 3 = x + x + 2x


def test_pooling_does_not_count_the_border() -> None:
    ones = torch.ones(1, 2, 4, 4)
    assert torch.equal(OPERATIONS["avg_pool_3x3"](2)(ones), ones)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_keeps_the_shape(operation: str) -> None:
    x = torch.rand(2, 3, 5, 6)
    assert OPERATIONS[operation](3)(x).shape == x.shape


def test_width_and_cells_set_the_size() -> None:
    network = cell_network(
        cell(*["nor_conv_1x1"] * 6), input_shape=(1, 8, 8), n_classes=2, width=2, cells=3
    )
    cells = [each for each in network.modules() if isinstance(each, Cell)]
    widths = [next(each.parameters()).shape[0] for each in cells]
    assert widths == [2, 2, 2, 4, 4, 4, 8, 8, 8]


def test_a_cell_may_have_another_number_of_nodes() -> None:
    network = cell_network({"op_0_1": "nor_conv_3x3"}, input_shape=(1, 8, 8), n_classes=2)
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 2)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({**MIXED, "op_0_1": "conv"}, "op_0_1 must be one of"),
        ({"op_0_1": "none", "op_0_2": "none"}, "need an operation for each of"),
        ({}, "need an operation for each of"),
        ({**MIXED, "op_0_1": 3}, "got 3"),
    ],
)
def test_choices_that_make_no_cell_are_refused(choices: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cell_network(choices, input_shape=(3, 8, 8), n_classes=10)


@pytest.mark.parametrize(
    "wrong", [{"n_classes": 1}, {"width": 0}, {"cells": 0}, {"input_shape": (8, 8)}]
)
def test_sizes_that_make_no_network_are_refused(wrong: dict[str, int]) -> None:
    good = {"input_shape": (3, 8, 8), "n_classes": 10}
    with pytest.raises(ValueError, match="need"):
        cell_network(MIXED, **{**good, **wrong})  # type: ignore[arg-type]
