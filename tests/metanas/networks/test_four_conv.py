import pytest
import torch
from torch import nn

from metanas.networks.darts_ops import Norm
from metanas.networks.four_conv import FourConv
from tests.contracts.network import NetworkContract


class TestFourConv(NetworkContract):
    @pytest.fixture
    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return FourConv((1, 28, 28), width=4, norm=Norm(), n_classes=3)

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (1, 28, 28)

    @pytest.fixture
    def n_classes(self) -> int:
        return 3


def test_has_the_usual_number_of_parameters() -> None:
    network = FourConv((1, 28, 28), width=32, n_classes=5)
    assert sum(p.numel() for p in network.parameters()) == 28_485


@pytest.mark.parametrize("side", [4, 28, 84])
def test_gives_as_many_features_as_channels_whatever_the_size(side: int) -> None:
    assert FourConv((3, side, side), width=8)(torch.rand(2, 3, side, side)).shape == (2, 8)
