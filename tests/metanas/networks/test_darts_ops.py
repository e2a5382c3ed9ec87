import pytest
import torch

from metanas.networks.darts_ops import (
    MAKERS,
    OPERATIONS,
    PARAMETER_FREE,
    Norm,
    Pointwise,
    share_of_parameter_free,
)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", list(MAKERS))
def test_an_operation_keeps_the_channels_and_halves_at_stride_two(name: str, stride: int) -> None:
    made = MAKERS[name](6, stride, Norm())
    assert made(torch.rand(2, 6, 7, 7)).shape == (
        2,
        6,
        7 if stride == 1 else 4,
        7 // stride + stride // 2,
    )


@pytest.mark.parametrize("name", list(MAKERS))
def test_those_called_free_of_parameters_are(name: str) -> None:
    n = sum(p.numel() for p in MAKERS[name](4, 1, Norm(affine=False)).parameters())
    assert (n == 0) == (name in PARAMETER_FREE)


def test_a_pointwise_product_is_a_convolution() -> None:
    layer = Pointwise(3, 5)
    x = torch.rand(2, 3, 4, 6)
    torch.testing.assert_close(layer(x), torch.nn.functional.conv2d(x, layer.weight))


def test_the_share_of_the_parameter_free_leaves_none_out() -> None:
    gates = torch.zeros(2, len(OPERATIONS))
    gates[:, 0] = 100.0
    gates[0, OPERATIONS.index("skip_connect")] = 1.0
    gates[1, OPERATIONS.index("sep_conv_3x3")] = 3.0
    assert float(share_of_parameter_free(gates, OPERATIONS)) == pytest.approx(0.25)
