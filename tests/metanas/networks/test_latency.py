import time

import torch
from torch import Tensor, nn

from metanas.networks.latency import latency


class Sleeps(nn.Module):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape == (1, 3, 8, 8)
        time.sleep(self.seconds)
        return self.weight * images.mean()


def test_it_is_the_time_of_one_input() -> None:
    assert 0.002 <= latency(Sleeps(0.002), (3, 8, 8)) < 0.1
    assert latency(Sleeps(0.01), (3, 8, 8)) > latency(Sleeps(0.0), (3, 8, 8))
