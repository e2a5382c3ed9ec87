import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metadata_store.records import Architecture, Task
from metanas.networks.counts import count
from metanas.spaces.darts import Darts
from metanas.spaces.random_chooser import RandomChooser
from tests.contracts.network import NetworkContract
from tests.contracts.space import SpaceContract

TASK = Task("t", "synthetic", "", 10, 4, (1, 12, 12), None, {})
SMALL = Darts(width=4, stem=4)


def any_of(space: Darts, seed: int) -> Architecture:
    return space.suggest(RandomChooser(np.random.default_rng(seed)))


class TestDarts(SpaceContract):
    @pytest.fixture
    def space(self) -> Darts:
        return Darts()

    def test_has_eight_edges_a_cell_of_seven_operations(self, space: Darts) -> None:
        encoded = space.encode(any_of(space, 0))
        assert encoded.shape == (16, 7 + 5)
        assert (encoded.sum(axis=1) == 2).all()

    @pytest.mark.parametrize(
        "text",
        [
            "normal[skip_connect~0+skip_connect~1]reduction[skip_connect~0+skip_connect~1]",
            "normal[skip_connect~0]",
            "normal skip_connect~0+skip_connect~1",
        ],
    )
    def test_strings_of_other_layouts_are_refused(self, space: Darts, text: str) -> None:
        with pytest.raises(ValueError, match=r"nodes|joined|an architecture is"):
            space.parse(text)


class TestDartsOfTwoNodes(SpaceContract):
    @pytest.fixture
    def space(self) -> Darts:
        return Darts(nodes=2)

    def test_has_a_name_of_its_own(self, space: Darts) -> None:
        assert space.name == "darts-2"

    def test_reads_and_writes_cells(self, space: Darts) -> None:
        text = (
            "normal[skip_connect~0+sep_conv_3x3~1 dil_conv_3x3~0+max_pool_3x3~2]"
            "reduction[avg_pool_3x3~0+sep_conv_5x5~1 dil_conv_5x5~1+skip_connect~2]"
        )
        architecture = space.parse(text)
        assert space.format(architecture) == text
        assert architecture.choices["normal_from_3"] == "0+2"
        assert space.of_cells(space.cells(architecture)) == architecture

    def test_the_first_node_takes_both_inputs(self, space: Darts) -> None:
        with pytest.raises(ValueError, match="node 2 takes nodes 0 and 1"):
            space.parse(
                "normal[skip_connect~0+skip_connect~2 skip_connect~0+skip_connect~1]"
                "reduction[skip_connect~0+skip_connect~1 skip_connect~0+skip_connect~1]"
            )


class TestItsNetwork(NetworkContract):
    @pytest.fixture
    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return SMALL.build(any_of(SMALL, 1), TASK)

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return TASK.input_shape

    @pytest.fixture
    def n_classes(self) -> int:
        return 4


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_renaming_inner_nodes_changes_nothing_that_counts(seed: int) -> None:
    space = Darts()
    cells = space.cells(any_of(space, seed))
    nodes = list(cells["normal"])
    uses_the_third = any(tail == 4 for tail, _ in nodes[3])
    if uses_the_third:
        return
    # Nodes 4 and 5 do not depend on each other: they may change places.
    swapped = {**cells, "normal": (nodes[0], nodes[1], nodes[3], nodes[2])}
    one, other = space.of_cells(cells), space.of_cells(swapped)
    assert space.canonical(one) == space.canonical(other)
    np.testing.assert_array_equal(space.describe_all([one]), space.describe_all([other]))


def test_other_operations_are_another_form() -> None:
    space = Darts(nodes=2)
    one = any_of(space, 0)
    other = space.mutate(one, np.random.default_rng(0))
    assert space.canonical(one) != space.canonical(other)


@pytest.mark.parametrize("layout", ["nr", "nrn", "r"])
def test_costs_are_those_of_the_networks_built(layout: str) -> None:
    space = Darts(width=3, nodes=3, stem=5, layout=layout, stem_depth=len(layout))
    architectures = [any_of(space, seed) for seed in range(4)]
    costs = space.costs(architectures, TASK)
    # Cells of a kind that is not in the layout are not built, and cost nothing.
    for i, architecture in enumerate(architectures):
        counted = count(space.build(architecture, TASK), TASK.input_shape)
        assert (costs.params[i], costs.flops[i]) == (counted.params, counted.flops)


def test_its_graph_leads_from_the_input_to_the_last_cells_output() -> None:
    edges = SMALL.edges(any_of(SMALL, 0))
    last = max(edge.head for edge in edges)
    assert last == 10
    assert {edge.tail for edge in edges} | {last} == set(range(11))
    assert all(edge.tail < edge.head for edge in edges)


@pytest.mark.parametrize(
    "option", [{"width": 0}, {"nodes": 0}, {"stem": 0}, {"grid": 0}, {"stem_depth": 0}]
)
def test_numbers_are_at_least_one(option: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Darts(**option)  # type: ignore[arg-type]


def test_a_layout_has_letters_it_knows() -> None:
    with pytest.raises(ValueError, match="layout"):
        Darts(layout="nx")


def test_a_table_has_no_images_to_build_for() -> None:
    with pytest.raises(ValueError, match="labelled images"):
        SMALL.build(any_of(SMALL, 0), Task.table("t"))
