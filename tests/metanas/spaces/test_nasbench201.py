from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metadata_store.records import Architecture, Task
from metanas.spaces.cell_graph import EDGES, NONE, OPERATIONS, SKIP, codes_of
from metanas.spaces.nasbench201 import CHOICES, NasBench201, cell
from tests.contracts.space import SpaceContract

ANY_CELL = st.integers(0, 15_624).map(cell)
BEST = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


def made(*operations: str) -> Architecture:
    return Architecture("nasbench201", dict(zip(CHOICES, operations, strict=True)))


class TestNasBench201(SpaceContract):
    @pytest.fixture
    def space(self) -> NasBench201:
        return NasBench201()

    def test_has_15625_cells(self, space: NasBench201) -> None:
        assert len(set(space.enumerate())) == 15_625

    def test_has_5260_canonical_forms(self, space: NasBench201) -> None:
        assert len({space.canonical(architecture) for architecture in space.enumerate()}) == 5_260

    def test_reads_the_benchmarks_own_strings(self, space: NasBench201) -> None:
        architecture = space.parse(BEST)
        assert architecture.choices["op_0_3"] == "skip_connect"
        assert architecture.choices["op_1_2"] == "nor_conv_3x3"
        assert space.format(architecture) == BEST

    def test_a_string_that_a_terminal_broke_is_read(self, space: NasBench201) -> None:
        text = space.format(space.enumerate()[9000])
        assert space.parse(f" {text[:30]} \n   {text[30:60]}\n{text[60:]}  ") == space.parse(text)

    @pytest.mark.parametrize(
        "text",
        [
            "|nor_conv_3x3~0|",
            BEST.replace("~2", "~3"),
            BEST.replace("~2", ""),
            BEST.replace("skip_connect", "sep_conv"),
            BEST.replace("|skip_connect~0", ""),
            BEST.replace("~1|nor_conv_3x3~2", "~2|nor_conv_3x3~2"),
        ],
    )
    def test_strings_of_other_layouts_are_refused(self, space: NasBench201, text: str) -> None:
        with pytest.raises(ValueError, match=r"node|operation|op_"):
            space.parse(text)

    @pytest.mark.parametrize("option", [{"width": 0}, {"cells": 0}])
    def test_a_network_has_at_least_one_channel_and_cell(self, option: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            NasBench201(**option)

    def test_dead_edges_do_not_count(self, space: NasBench201) -> None:
        plain = made("none", "none", "none", "nor_conv_3x3", "none", "none")
        into_nothing = made("nor_conv_1x1", "none", "none", "nor_conv_3x3", "none", "none")
        from_nothing = made("none", "none", "none", "nor_conv_3x3", "avg_pool_3x3", "none")
        assert space.canonical(plain) == space.canonical(into_nothing)
        assert space.canonical(plain) == space.canonical(from_nothing)

    def test_a_skipped_node_is_its_input(self, space: NasBench201) -> None:
        direct = made("none", "none", "none", "nor_conv_3x3", "none", "none")
        by_node_1 = made("skip_connect", "none", "none", "none", "nor_conv_3x3", "none")
        behind = made("none", "nor_conv_3x3", "none", "none", "none", "skip_connect")
        assert space.canonical(direct) == space.canonical(by_node_1) == space.canonical(behind)

    def test_one_convolution_used_twice_is_not_two(self, space: NasBench201) -> None:
        two = made("nor_conv_3x3", "nor_conv_3x3", "none", "none", "skip_connect", "skip_connect")
        twice = made("nor_conv_3x3", "none", "skip_connect", "none", "skip_connect", "skip_connect")
        assert space.canonical(two) != space.canonical(twice)

    @settings(deadline=None)
    @given(ANY_CELL)
    def test_swapping_the_inner_nodes_changes_nothing(self, architecture: Architecture) -> None:
        operation = dict(architecture.choices)
        if operation["op_1_2"] != "none":
            return
        swapped = {
            **operation,
            "op_0_1": operation["op_0_2"],
            "op_0_2": operation["op_0_1"],
            "op_1_3": operation["op_2_3"],
            "op_2_3": operation["op_1_3"],
        }
        space = NasBench201()
        other = Architecture("nasbench201", swapped)
        assert space.canonical(architecture) == space.canonical(other)

    @settings(deadline=None, max_examples=60)
    @given(ANY_CELL)
    def test_the_canonical_cell_computes_the_same(self, architecture: Architecture) -> None:
        canonical = NasBench201().canonical(architecture)
        assert _computes_the_same(architecture, canonical)

    def test_canonical_forms_that_differ_compute_different_things(self) -> None:
        space = NasBench201()
        rng = np.random.default_rng(0)
        for _ in range(40):
            one = cell(int(rng.integers(15_625)))
            other = space.mutate(one, rng)
            same_form = space.canonical(one) == space.canonical(other)
            assert same_form == _computes_the_same(one, other)

    def test_builds_a_network_for_the_task(self) -> None:
        task = Task("t", "synthetic", "", 10, 4, (1, 16, 16), None, {})
        space = NasBench201(width=4, cells=1)
        network = space.build(space.parse(BEST), task)
        assert isinstance(network, nn.Module)
        assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 4)

    def test_a_table_has_no_images_to_build_for(self, space: NasBench201) -> None:
        with pytest.raises(ValueError, match="images"):
            space.build(cell(0), Task.table("t"))


def _computes_the_same(one: Architecture, other: Architecture) -> bool:
    """Whether some exchange of weights makes two cells agree on numbers.

    Each edge's convolution is an own function of one number that is not linear.
    """
    weights = np.random.default_rng(3).uniform(0.5, 1.5, 6)
    wanted = _output(one, weights)
    return any(
        np.allclose(_output(other, weights[list(order)]), wanted)
        for order in permutations(range(6))
    )


def _output(architecture: Architecture, weights: np.ndarray) -> np.ndarray:
    nodes = [np.linspace(0.1, 1.0, 7)]
    for head in range(1, 4):
        total = np.zeros(7)
        for edge, (tail, end) in enumerate(EDGES):
            if end == head:
                total += _applied(
                    str(architecture.choices[CHOICES[edge]]), nodes[tail], weights[edge]
                )
        nodes.append(total)
    return nodes[3]


def _applied(operation: str, value: np.ndarray, weight: float) -> np.ndarray:
    """Each kind keeps zero at zero, as a dead convolution without bias does."""
    return {
        "none": 0.0 * value,
        "skip_connect": value,
        "avg_pool_3x3": value**1.5,
        "nor_conv_1x1": np.sin(weight * value),
        "nor_conv_3x3": np.tanh(3.0 * weight * value) * value,
    }[operation]


def test_codes_follow_the_list() -> None:
    codes = codes_of(np.array([0, 1, 15_624]))
    assert codes[0].tolist() == [NONE] * 6
    assert codes[1].tolist() == [NONE] * 5 + [SKIP]
    assert cell(15_624).choices == dict.fromkeys(CHOICES, OPERATIONS[-1])
