import pytest
import torch
from torch import nn
from torch.func import functional_call

from metanas.networks.darts_ops import OPERATIONS, Norm
from metanas.networks.mixed import CellNetwork, Frame, cell_edges, gates_name, supernet
from tests.contracts.network import NetworkContract

SHAPE = (1, 12, 12)
FRAME = Frame(width=4, nodes=2, stem=(4, 4), layout="nr")
PURE = Norm(affine=False, running=False)
KEPT = {
    "normal": {
        (0, 2): ("sep_conv_3x3",),
        (1, 2): ("max_pool_3x3",),
        (0, 3): ("skip_connect",),
        (2, 3): ("dil_conv_5x5",),
    },
    "reduction": {
        (0, 2): ("avg_pool_3x3",),
        (1, 2): ("skip_connect",),
        (1, 3): ("sep_conv_5x5",),
        (2, 3): ("dil_conv_3x3",),
    },
}


def made(n_classes: int | None = None) -> CellNetwork:
    torch.manual_seed(0)
    return supernet(FRAME, input_shape=SHAPE, norm=PURE, n_classes=n_classes)


class TestSupernet(NetworkContract):
    @pytest.fixture
    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return supernet(FRAME, input_shape=SHAPE, norm=Norm(), n_classes=3)

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return SHAPE

    @pytest.fixture
    def n_classes(self) -> int:
        return 3


def test_edges_enter_each_inner_node_from_all_before_it() -> None:
    assert cell_edges(2) == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert len(cell_edges(4)) == 14


def test_a_supernet_whose_gates_are_shut_but_for_some_is_their_discrete_network() -> None:
    whole = made()
    torch.manual_seed(1)
    part = CellNetwork(FRAME, KEPT, input_shape=SHAPE, norm=PURE)
    weights = whole.state_dict()
    own = {name: weights[name] for name, _ in part.named_parameters()}
    gates: dict[str, torch.Tensor] = {}
    few: dict[str, torch.Tensor] = {}
    for kind, edges in KEPT.items():
        name = gates_name(kind)
        gates[name] = torch.zeros(5, len(OPERATIONS))
        few[name] = torch.rand(4, 1) + 0.5
        for row, (edge, (operation,)) in enumerate(edges.items()):
            place = cell_edges(2).index(edge), OPERATIONS.index(operation)
            gates[name][place] = few[name][row, 0]
    x = torch.rand(5, *SHAPE)
    torch.testing.assert_close(
        functional_call(whole, gates, (x,)), functional_call(part, {**own, **few}, (x,))
    )
    assert sum(p.numel() for p in part.parameters()) < sum(p.numel() for p in whole.parameters())


def test_none_adds_nothing_and_the_other_gates_count() -> None:
    whole = made()
    x = torch.rand(3, *SHAPE)
    name = gates_name("normal")
    before = whole(x)
    gates = torch.ones(5, len(OPERATIONS))
    gates[:, 0] = 7.0
    torch.testing.assert_close(functional_call(whole, {name: gates}, (x,)), before)
    gates[2, 4] = 7.0
    assert not torch.allclose(functional_call(whole, {name: gates}, (x,)), before)


def test_pooling_is_computed_once_for_all_edges_that_leave_a_node() -> None:
    whole = made()
    calls: list[str] = []
    for path, module in whole.named_modules():
        if ".free." in path and isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
            module.register_forward_hook(lambda *_, path=path: calls.append(path))
    whole(torch.rand(2, *SHAPE))
    assert len(calls) == len(set(calls)) == 2 * 3 * 2  # cells, nodes with an edge, kinds


@pytest.mark.parametrize("side", [1, 5, 28, 33, 84])
def test_images_of_any_size_become_features(side: int) -> None:
    frame = Frame(width=3, nodes=2, stem=(4, 4), layout="nrn", grid=2)
    network = supernet(frame, input_shape=(3, side, side), norm=PURE)
    assert network(torch.rand(2, 3, side, side)).shape == (2, frame.features)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"width": 0}, "need a channel"),
        ({"nodes": 0}, "inner node"),
        ({"layout": ""}, "layout"),
        ({"layout": "nrx"}, "layout"),
        ({"stem": ()}, "stem"),
    ],
)
def test_a_frame_that_holds_nothing_is_refused(options: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Frame(**options)  # type: ignore[arg-type]


def test_a_node_without_an_operation_is_refused() -> None:
    bare = {**KEPT, "normal": {edge: ops for edge, ops in KEPT["normal"].items() if edge[1] == 2}}
    with pytest.raises(ValueError, match="node 3 has none"):
        CellNetwork(FRAME, bare, input_shape=SHAPE, norm=PURE)


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'conv'"):
        supernet(FRAME, input_shape=SHAPE, norm=PURE, operations=("conv",))
