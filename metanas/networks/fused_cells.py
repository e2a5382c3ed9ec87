"""Many cell networks as one: the same layer of all of them becomes one grouped layer.

A small network leaves a GPU idle: what takes time is starting its kernels. Here the
k-th convolution of every network is one grouped convolution, and the operations that
leave a cell's node are computed together for all networks that have them there, so
the number of kernels does not grow with the number of networks.

Every network keeps weights and statistics of its own, and nothing one of them computes
reaches another: what comes out is what each would give alone, but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from metanas.networks.cell_network import Cell
from metanas.networks.ops import Reduction, ReluConvBn

Kind = TypeVar("Kind", bound=nn.Module)


class NotAlike(ValueError):
    """Networks that cannot be computed as one."""


class FusedCells(nn.Module):
    """Networks of `cell_network` side by side: images (n, c, h, w) to (networks, n, classes).

    Args:
        networks: built with the same numbers, of whatever operations. Their weights are
            copied; they themselves change only in `restore`.

    Raises:
        NotAlike: no networks, others than those of `cell_network`, or of other shapes.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        rows = [list(each) for each in networks if isinstance(each, nn.Sequential)]
        if not rows or len(rows) != len(networks) or any(_kind(r) != _kind(rows[0]) for r in rows):
            raise NotAlike("need cell networks built with the same width, cells and shapes")
        columns = list(zip(*rows, strict=True))
        self.stem = _fused_layers(columns[0], shared=True)
        self.body = nn.Sequential(*(_fused_block(column) for column in columns[1:-1]))
        self.norm = _Norm([_only(nn.BatchNorm2d, head) for head in columns[-1]])
        self.classify = _Linear([_only(nn.Linear, head) for head in columns[-1]])

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.stem(x))
        logits: Tensor = self.classify(functional.relu(self.norm(x)).mean((2, 3)))
        return logits

    @torch.no_grad()
    def restore(self) -> None:
        """Gives the networks that were fused the weights and statistics reached here.

        Operations on no path through a cell keep what they had.
        """
        for module in self.modules():
            if isinstance(module, _Conv | _Norm | _Linear):
                values = module.state_dict()
                for place, part in enumerate(module.parts):
                    for name, own in part.state_dict().items():
                        whole = values[name]
                        own.copy_(whole if own.ndim == 0 else whole.chunk(len(module.parts))[place])


@dataclass
class _Step:
    """What leaves one node of the cells.

    Attributes:
        convolutions: (kernel size, network, target node, its ReLU, convolution and norm).
        others: the networks that pool or pass the node on, by operation and target node.
    """

    convolutions: list[tuple[int, int, int, ReluConvBn]] = field(default_factory=list)
    others: dict[tuple[str, int], list[int]] = field(default_factory=dict)


class _Cells(nn.Module):
    """The cells at one place of the networks; (n, networks * channels, h, w) to the same.

    A node is the sum of its edges in the order of `Cell`, so that rounding is the same.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        super().__init__()
        self._networks = len(cells)
        self._nodes = cells[0].output
        self.leaving = nn.ModuleList(
            _Leaving(_step(cells, source), len(cells)) for source in range(self._nodes)
        )

    def forward(self, x: Tensor) -> Tensor:
        first = x.reshape(len(x), self._networks, -1, *x.shape[2:])
        nodes = {0: first}
        for source, leaving in enumerate(self.leaving):
            if source not in nodes:
                continue
            for target, index, out in leaving(nodes[source]):
                if index is None:
                    nodes[target] = nodes[target] + out if target in nodes else out
                else:
                    before = nodes[target] if target in nodes else torch.zeros_like(first)
                    nodes[target] = before.index_add(1, index, out)
        last = nodes[self._nodes] if self._nodes in nodes else torch.zeros_like(first)
        return last.flatten(1, 2)


class _Leaving(nn.Module):
    """The operations on the edges that leave one node.

    A node (n, networks, channels, h, w) becomes, for each target node, which networks
    have such edges (None for all of them in order) and what they carry, of the same shape.
    """

    def __init__(self, step: _Step, networks: int) -> None:
        super().__init__()
        self._networks = networks
        self._rows: list[tuple[str, tuple[int, ...]]] = []
        ordered = sorted(step.convolutions, key=lambda each: each[:1])
        kernels = sorted({kernel for kernel, *_ in ordered})
        self._kernels = []
        self.convolutions = nn.ModuleList()
        for kernel in kernels:
            mine = [each for each in ordered if each[0] == kernel]
            self._kernels.append(self._index([network for _, network, *_ in mine]))
            self.convolutions.append(_Conv([_only(nn.Conv2d, each[3]) for each in mine]))
        self.norm = _Norm([_only(nn.BatchNorm2d, each[3]) for each in ordered]) if ordered else None
        self._targets = []
        for target in sorted({target for _, _, target, _ in ordered}):
            places = [i for i, each in enumerate(ordered) if each[2] == target]
            into = self._index([ordered[i][1] for i in places])
            self._targets.append((target, self._index(places, len(ordered)), into))
        self._others = [
            (name, target, self._index(rows)) for (name, target), rows in step.others.items()
        ]

    def forward(self, node: Tensor) -> list[tuple[int, Tensor | None, Tensor]]:
        found: list[tuple[int, Tensor | None, Tensor]] = []
        if self.norm is not None:
            positive = functional.relu(node)
            outputs = [
                convolution(self._taken(positive, rows).flatten(1, 2))
                for rows, convolution in zip(self._kernels, self.convolutions, strict=True)
            ]
            together = self.norm(torch.cat(outputs, 1))
            edges = together.reshape(len(node), -1, *node.shape[2:])
            for target, places, into in self._targets:
                found.append((target, self._buffer(into), self._taken(edges, places)))
        for name, target, rows in self._others:
            out = self._taken(node, rows)
            if name == "pool":
                pooled = functional.avg_pool2d(out.flatten(1, 2), 3, 1, 1, count_include_pad=False)
                out = pooled.reshape(out.shape)
            found.append((target, self._buffer(rows), out))
        return found

    def _index(self, rows: Sequence[int], length: int | None = None) -> str | None:
        """The name of a buffer with these positions, None where they are all in order."""
        if list(rows) == list(range(self._networks if length is None else length)):
            return None
        # A buffer moves with the module; copying to the device at every call would stall it.
        name = f"rows_{len(self._rows)}"
        self._rows.append((name, tuple(rows)))
        self.register_buffer(name, torch.tensor(rows), persistent=False)
        return name

    def _buffer(self, name: str | None) -> Tensor | None:
        return None if name is None else self.get_buffer(name)

    def _taken(self, x: Tensor, name: str | None) -> Tensor:
        return x if name is None else x.index_select(1, self.get_buffer(name))


def _step(cells: Sequence[Cell], source: int) -> _Step:
    step = _Step()
    for target in range(source + 1, cells[0].output + 1):
        for network, cell in enumerate(cells):
            if (source, target) not in cell.live:
                continue
            module = cell.edges[f"op_{source}_{target}"]
            if isinstance(module, ReluConvBn):
                kernel = _only(nn.Conv2d, module).kernel_size[0]
                step.convolutions.append((kernel, network, target, module))
            else:
                name = "pool" if isinstance(module, nn.AvgPool2d) else "skip"
                step.others.setdefault((name, target), []).append(network)
    return step


class _Reductions(nn.Module):
    """The reductions at one place of the networks."""

    def __init__(self, blocks: Sequence[Reduction]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(_fused_layers([block.body[i] for block in blocks]) for i in range(2))
        )
        self.shortcut = _fused_layers([block.shortcut for block in blocks])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


class _Conv(nn.Conv2d):
    """Convolutions of one shape, each on its part of the channels, or all on the same."""

    def __init__(self, parts: Sequence[nn.Conv2d], *, shared: bool = False) -> None:
        first = parts[0]
        super().__init__(
            first.in_channels * (1 if shared else len(parts)),
            first.out_channels * len(parts),
            cast(tuple[int, int], first.kernel_size),
            cast(tuple[int, int], first.stride),
            cast(tuple[int, int], first.padding),
            groups=1 if shared else len(parts),
            bias=False,
            dtype=first.weight.dtype,
        )
        self.parts = tuple(parts)
        self.load_state_dict(_joined(parts))


class _Norm(nn.BatchNorm2d):
    """Batch normalisation of each network's channels."""

    def __init__(self, parts: Sequence[nn.BatchNorm2d]) -> None:
        super().__init__(parts[0].num_features * len(parts), dtype=parts[0].weight.dtype)
        self.parts = tuple(parts)
        self.load_state_dict(_joined(parts))


class _Linear(nn.Module):
    """Linear layers: (n, networks * channels) to (networks, n, classes)."""

    def __init__(self, parts: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.parts = tuple(parts)
        joined = _joined(parts)
        self.weight = nn.Parameter(joined["weight"])
        self.bias = nn.Parameter(joined["bias"])

    def forward(self, x: Tensor) -> Tensor:
        n = len(self.parts)
        apart = x.reshape(len(x), n, -1).transpose(0, 1)
        weight = self.weight.view(n, -1, self.weight.shape[1])
        return torch.baddbmm(self.bias.view(n, 1, -1), apart, weight.transpose(1, 2))


def _joined(parts: Sequence[nn.Module]) -> dict[str, Tensor]:
    """The state of modules of one shape, one after the other along the first axis."""
    states = [part.state_dict() for part in parts]
    return {
        name: value if value.ndim == 0 else torch.cat([state[name] for state in states])
        for name, value in states[0].items()
    }


def _fused_block(blocks: Sequence[nn.Module]) -> nn.Module:
    if isinstance(blocks[0], Cell):
        return _Cells(cast(Sequence[Cell], blocks))
    return _Reductions(cast(Sequence[Reduction], blocks))


def _fused_layers(columns: Sequence[nn.Module], *, shared: bool = False) -> nn.Sequential:
    """Layers of every network, one after the other.

    Args:
        shared: the networks see the same input.
    """
    layers: list[nn.Module] = []
    for layer in zip(*(cast(nn.Sequential, each) for each in columns), strict=True):
        if isinstance(layer[0], nn.Conv2d):
            layers.append(_Conv(layer, shared=shared))
        elif isinstance(layer[0], nn.BatchNorm2d):
            layers.append(_Norm(layer))
        else:
            layers.append(layer[0])  # without weights
    return nn.Sequential(*layers)


def _only(kind: type[Kind], module: nn.Module) -> Kind:
    """The one layer of that kind in a sequence."""
    (found,) = (layer for layer in module.children() if isinstance(layer, kind))
    return found


def _kind(layers: Sequence[nn.Module]) -> list[object]:
    """What must be alike in networks to be fused."""
    return [
        (type(layer), layer.output)
        if isinstance(layer, Cell)
        else (type(layer), *(tuple(value.shape) for value in layer.state_dict().values()))
        for layer in layers
    ]
