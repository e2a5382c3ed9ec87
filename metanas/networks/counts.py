"""What a network costs: parameters, and multiply-adds for one input.

As in the literature on architecture search, "flops" are multiply-adds of convolutions
and linear layers; biases, normalisation, activations and pooling are not counted.
Counted is what is computed: a layer that is built but never called costs parameters
only, one that is called twice costs its multiply-adds twice.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metanas.networks.darts_ops import Pointwise

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Counts:
    """Costs of a network.

    Attributes:
        params: trainable numbers.
        flops: multiply-adds for one input.
    """

    params: int
    flops: int


def count(module: nn.Module, input_shape: Sequence[int]) -> Counts:
    """Counts one pass in evaluation mode, without computing it; the module stays as it is.

    Args:
        input_shape: of one input, e.g. (channels, height, width).

    Raises:
        ValueError: the module does not take such an input.
    """
    params = sum(each.numel() for each in module.parameters() if each.requires_grad)
    flops = 0

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flops
        if isinstance(layer, nn.Linear):
            flops += output.numel() * layer.in_features
        elif isinstance(layer, Pointwise):
            flops += output.numel() * layer.inputs
        elif isinstance(layer, CONVOLUTIONS):
            window = math.prod(layer.kernel_size) * (layer.in_channels // layer.groups)
            flops += output.numel() * window

    # Tensors of the meta device have shapes and no contents: the pass costs no arithmetic.
    ghost = copy.deepcopy(module).to("meta").eval()
    for layer in ghost.modules():
        if isinstance(layer, (nn.Linear, Pointwise, *CONVOLUTIONS)):
            layer.register_forward_hook(add)
    try:
        with torch.no_grad():
            ghost(torch.empty(1, *input_shape, device="meta"))
    except RuntimeError as error:
        line = str(error).splitlines()[0]
        raise ValueError(f"the network takes no input of shape {input_shape}: {line}") from error
    return Counts(params, flops)
