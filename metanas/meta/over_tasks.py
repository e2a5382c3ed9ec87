"""A function of one task, over all tasks of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.func import vmap


def over_tasks(
    f: Callable[..., Any], dims: tuple[int | None, ...], *given: Any, vectorised: bool
) -> Any:
    """`f` of each task, its results stacked.

    Args:
        f: gives a tensor, or a dictionary of tensors.
        dims: 0 where one of the first arguments has a dimension of tasks, None where it
            is the same for all; those after them have one each. Arguments are tensors or
            dictionaries of tensors, the last one a tensor.
        vectorised: by `torch.func.vmap`; in a loop else, which needs less memory.
    """
    in_dims = (*dims, *(0 for _ in given[len(dims) :]))
    if vectorised:
        return vmap(f, in_dims=in_dims)(*given)
    results = [
        f(*(_of_task(value, dim, task) for value, dim in zip(given, in_dims, strict=True)))
        for task in range(len(given[-1]))
    ]
    if isinstance(results[0], dict):
        return {name: torch.stack([each[name] for each in results]) for name in results[0]}
    return torch.stack(results)


def _of_task(value: Any, dim: int | None, task: int) -> Any:
    if dim is None:
        return value
    if isinstance(value, dict):
        return {name: each[task] for name, each in value.items()}
    return value[task]
