"""How long a network takes for one input, where it is now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import torch
from torch import nn

WARM_UP, RUNS = 3, 15


@torch.inference_mode()
def latency(module: nn.Module, input_shape: Sequence[int]) -> float:
    """Median seconds of some runs on one input, on the device of the module's parameters.

    Args:
        module: in evaluation mode.
        input_shape: of one input, e.g. (channels, height, width).
    """
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    batch = torch.zeros(1, *input_shape, device=device)
    seconds = []
    for _ in range(WARM_UP + RUNS):
        begin = time.perf_counter()
        module(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return median(seconds[WARM_UP:])
