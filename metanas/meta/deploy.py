"""From adapted parameters to a plain network of the derived cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metanas.meta.batch import contrast, views
from metanas.meta.meta_architecture import MetaArchitecture
from metanas.meta.prototypes import prototypes
from metanas.meta.recipe import ARCHITECTURE, SCALE, WEIGHTS, Parameters
from metanas.meta.relaxation import Cell, growth, places
from metanas.meta.task_network import with_views
from metanas.networks.centring import Centring
from metanas.networks.darts_ops import Norm
from metanas.networks.mixed import CellNetwork, gates_name
from metanas.spaces.darts import kept


class Contrast(nn.Module):
    """Images in [0, 1] brought to a task's contrast; see `metanas.meta.batch`.

    Args:
        shift: subtracted from each channel; shape (c,).
        factor: multiplied with it then; shape (c,).
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, shift: Tensor, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift.view(1, -1, 1, 1))
        self.register_buffer("factor", factor.view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.shift) * self.factor


def deploy(
    meta: MetaArchitecture,
    adapted: Parameters,
    cells: dict[str, Cell],
    support: Tensor,
    ways: int,
) -> nn.Sequential:
    """A network of the task's own: images (n, c, h, w) in [0, 1] to logits (n, ways).

    Statistics of normalisation are those of the support, so that an image is judged
    alone; the prototypes of the support and its views are the last, linear layer.

    Args:
        adapted: parameters of one task, without a dimension of tasks.
        cells: those derived.
        support: uint8, shape (ways * k, c, h, w), class by class.
    """
    made = meta.frame
    network = CellNetwork(
        made.frame,
        kept(cells),
        input_shape=meta.input_shape,
        norm=Norm(affine=False),
        n_classes=ways,
    )
    _carry_over(network, adapted)
    _weigh(network, meta, adapted, cells)
    shift, factor = contrast(support[None])
    scaled = nn.Sequential(
        Contrast(shift[0], factor[0]), Centring() if made.centred else nn.Identity()
    )
    whole = nn.Sequential(*scaled, network)
    with torch.no_grad():
        images = scaled(support.float() / 255)
        head = network.head
        network.head = nn.Identity()
        features = network.train()(with_views(images[None], views(images[None]))[0])
        weight, bias = prototypes(features, ways, adapted[SCALE])
        head.weight.copy_(weight)  # type: ignore[operator]
        head.bias.copy_(bias)  # type: ignore[operator]
        _calibrate(network, images)
        network.head = head
    return whole.eval()


def _carry_over(network: nn.Module, adapted: Parameters) -> None:
    """Weights of the supernet, by name; what was not derived stays behind."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.startswith("head."):
                parameter.copy_(adapted[f"{WEIGHTS}{name}"])


def _weigh(
    network: nn.Module, meta: MetaArchitecture, adapted: Parameters, cells: dict[str, Cell]
) -> None:
    """Each operation by how much its gate has grown."""
    relaxed = meta.relaxed
    temperature = meta.learner.temperature(1.0)
    for kind in relaxed.kinds:
        name = f"{ARCHITECTURE}{kind}"
        grown = growth(adapted[name], meta.parameters[name], temperature)
        weights = grown[places(cells[kind], relaxed.operations)]
        network.get_buffer(gates_name(kind)).copy_(weights[:, None])


def _calibrate(network: nn.Module, images: Tensor) -> None:
    """Running statistics become those of these images."""
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    for each in norms:
        each.reset_running_stats()
        each.momentum = None  # the mean over all batches, here one
    network.train()
    network(images)
    network.eval()
    for each in norms:
        each.momentum = 0.1
