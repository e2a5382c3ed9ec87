"""MAML of the library learn2learn: a baseline by others, and a check of our gradients.

[learn2learn] Arnold et al. learn2learn: A Library for Meta-Learning Research. 2020.

The one module that imports it. It comes with the extra ``few-shot``; all else works without.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from metanas.meta.batch import Batch
from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import WEIGHTS, Inner, Loss, Parameters
from metanas.networks.four_conv import FourConv


class Learn2LearnMaml:
    """Implements `metanas.meta.learner.MetaLearner`: a loop over tasks, a clone for each.

    Raises:
        ModuleNotFoundError: learn2learn is not installed; says how to get it.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        ways: int,
        *,
        width: int = 32,
        steps: int = 1,
        lr: float = 0.4,
        second_order: bool = True,
    ) -> None:
        self._maml = library()
        self._make = partial(FourConv, input_shape, width=width, n_classes=ways)
        self._plain = GradientLearner(
            partial(FourConv, input_shape, width=width), inner=Inner(steps=0), ways=ways
        )
        self._steps, self._lr, self._second_order = steps, lr, second_order
        self.turns = self._plain.turns

    def initial(self, seed: int) -> Parameters:
        return self._plain.initial(seed)

    def loss(self, parameters: Parameters, batch: Batch, *, progress: float) -> Loss:
        logits = self._logits(parameters, batch, first_order=not self._second_order)
        value = functional.cross_entropy(logits.flatten(0, 1), batch.query_labels.flatten())
        right = logits.argmax(-1) == batch.query_labels
        return Loss(value, float(right.float().mean()), float("nan"))

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        plain = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        return self._logits(plain, batch, first_order=True).detach()

    def _logits(self, parameters: Parameters, batch: Batch, *, first_order: bool) -> Tensor:
        module = _holding(self._make(), parameters)
        learner = self._maml(module, lr=self._lr, first_order=first_order)
        logits = []
        for task in range(len(batch)):
            clone = learner.clone()
            for _ in range(self._steps):
                loss = functional.cross_entropy(
                    clone(batch.support[task]), batch.support_labels[task]
                )
                clone.adapt(loss)
            logits.append(clone(batch.query[task]))
        return torch.stack(logits)


def _holding(module: torch.nn.Module, parameters: Parameters) -> torch.nn.Module:
    """The module with these very tensors as its parameters, so that gradients reach them."""
    for name, tensor in parameters.items():
        path = name.removeprefix(WEIGHTS) if name.startswith(WEIGHTS) else name
        owner, _, last = path.rpartition(".")
        module.get_submodule(owner)._parameters[last] = tensor  # type: ignore[assignment]
    return module


def library() -> Any:
    """Its class of MAML.

    Raises:
        ModuleNotFoundError: learn2learn is not installed; says how to get it.
    """
    try:
        with warnings.catch_warnings():
            # The library's own use of deprecated modules is not the caller's business.
            warnings.simplefilter("ignore")
            from learn2learn.algorithms import MAML
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"need learn2learn, which comes with metanas[few-shot]: {error}"
        ) from error
    return MAML
