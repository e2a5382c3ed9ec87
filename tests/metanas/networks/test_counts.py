"""Counts against two counting libraries."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from metanas.networks.cell_network import cell_network
from metanas.networks.counts import Counts, count
from metanas.networks.darts_ops import OPERATIONS as DARTS_OPERATIONS
from metanas.networks.darts_ops import Norm, Pointwise
from metanas.networks.mixed import Frame, supernet
from metanas.networks.ops import OPERATIONS, Normalised

EDGES = ("op_0_1", "op_0_2", "op_1_2", "op_0_3", "op_1_3", "op_2_3")
CELLS = [
    ["nor_conv_3x3"] * 6,
    ["none"] * 6,
    ["nor_conv_1x1", "none", "nor_conv_3x3", "skip_connect", "avg_pool_3x3", "nor_conv_1x1"],
    ["nor_conv_3x3", "skip_connect", "none", "avg_pool_3x3", "none", "nor_conv_3x3"],
]


def network(cell: list[str], *, input_shape: tuple[int, ...] = (3, 20, 15)) -> nn.Module:
    choices = dict(zip(EDGES, cell, strict=True))
    return cell_network(choices, input_shape=input_shape, n_classes=7, width=4, cells=2)


@pytest.mark.parametrize("cell", CELLS)
def test_flops_agree_with_torch(cell: list[str]) -> None:
    module = network(cell).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.rand(1, 3, 20, 15))
    assert count(module, (3, 20, 15)).flops * 2 == counter.get_total_flops()


@pytest.mark.parametrize("cell", CELLS)
def test_flops_and_params_agree_with_fvcore(cell: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis, parameter_count

        module = network(cell).eval()
        analysis = FlopCountAnalysis(module, torch.rand(1, 3, 20, 15))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_operator = analysis.by_operator()
    counts = count(module, (3, 20, 15))
    assert counts.flops == by_operator["conv"] + by_operator["linear"]
    assert counts.params == parameter_count(module)[""]


def test_the_benchmarks_largest_cell_costs_what_its_paper_says() -> None:
    choices = dict.fromkeys(EDGES, "nor_conv_3x3")
    module = cell_network(choices, input_shape=(3, 32, 32), n_classes=10)
    counts = count(module, (3, 32, 32))
    assert counts == Counts(params=1_531_546, flops=220_119_680)


def test_flops_of_darts_cells_agree_with_torch() -> None:
    frame = Frame(width=4, nodes=2, layout="nrn", stem=(6, 6))
    module = supernet(frame, input_shape=(3, 20, 15), norm=Norm(), n_classes=7).eval()
    assert {name for cell in module.cells for name in cell.edges} >= {
        f"0_2_{name}" for name in DARTS_OPERATIONS[4:]
    }
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.rand(1, 3, 20, 15))
    assert count(module, (3, 20, 15)).flops * 2 == counter.get_total_flops()


def test_a_pointwise_product_costs_what_a_convolution_does() -> None:
    convolution = nn.Conv2d(3, 5, 1, bias=False)
    assert count(Pointwise(3, 5), (3, 4, 6)) == count(convolution, (3, 4, 6)) == Counts(15, 360)


def test_normalisation_costs_nothing() -> None:
    module = network(CELLS[2])
    wrapped = Normalised(module, [0.5] * 3, [0.2] * 3)
    assert count(wrapped, (3, 20, 15)) == count(module, (3, 20, 15))


def test_a_layer_used_twice_counts_once_as_parameters_and_twice_as_work() -> None:
    layer = nn.Linear(5, 5, bias=False)
    assert count(nn.Sequential(layer, layer), (5,)) == Counts(params=25, flops=50)


def test_groups_divide_the_work() -> None:
    assert count(nn.Conv2d(8, 8, 3, padding=1, groups=4), (8, 2, 2)).flops == 4 * 8 * 2 * 9


def test_counting_leaves_the_module_as_it_is() -> None:
    module = network(CELLS[0]).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    count(module, (3, 20, 15))
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(each._forward_hooks for each in module.modules())


def test_an_input_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no input of shape \(1, 8, 8\)"):
        count(network(CELLS[0]), (1, 8, 8))


def test_every_operation_has_a_cell_above() -> None:
    assert {operation for cell in CELLS for operation in cell} == set(OPERATIONS)
