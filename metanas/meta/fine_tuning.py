"""Fine-tuning: a plain classifier of all classes; for a task a new head and some descent.

A control: what comes of the same images without learning to learn.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from metanas.meta.batch import Batch
from metanas.meta.gradient import GradientLearner
from metanas.meta.recipe import FIRST_SCALE, HEAD, SCALE, Inner, Loss, Pace, Parameters
from metanas.networks.four_conv import FourConv


class FineTuning:
    """Implements `metanas.meta.learner.MetaLearner`.

    Args:
        n_classes: of the classifier.
        steps: of descent on a task's support.
        lr: of each.
        prototypical: whether a task's head is made of prototypes; a linear layer that
            starts at nothing else.
        centred: whether images are; see `metanas.networks.centring`.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        *,
        n_classes: int,
        width: int,
        steps: int,
        lr: float,
        prototypical: bool = False,
        centred: bool = False,
    ) -> None:
        self._make = partial(FourConv, input_shape, width=width)
        several = Pace(steps, lr) if prototypical else None
        self._inner = Inner(steps=steps, lr=lr, several=several)
        self._classifier = GradientLearner(self._make, inner=Inner(steps=0), ways=n_classes)
        self._prototypical = prototypical
        self._centred = centred
        self.turns = self._classifier.turns

    def initial(self, seed: int) -> Parameters:
        return self._classifier.initial(seed)

    def loss(self, parameters: Parameters, batch: Batch, *, progress: float) -> Loss:
        """Cross-entropy of all images among all classes."""
        if self._centred:
            batch = batch.centred()
        images = torch.cat([batch.support, batch.query], dim=1).flatten(0, 1)
        labels = torch.cat([batch.support_labels, batch.query_labels], dim=1)
        among_all = batch.classes.gather(1, labels).flatten()
        features = self._classifier.network.features(parameters, images, 1.0)
        logits = functional.linear(features, parameters[f"{HEAD}weight"], parameters[f"{HEAD}bias"])
        right = logits.argmax(-1) == among_all
        value = functional.cross_entropy(logits, among_all)
        return Loss(value, float(right.float().mean()), float("nan"))

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        weight = parameters[f"{HEAD}weight"]
        body = {name: p for name, p in parameters.items() if not name.startswith(HEAD)}
        if self._prototypical:
            fresh = {SCALE: weight.new_tensor(FIRST_SCALE).log()}
        else:
            fresh = {
                f"{HEAD}weight": weight.new_zeros(batch.ways, weight.shape[1]),
                f"{HEAD}bias": weight.new_zeros(batch.ways),
            }
        ways = None if self._prototypical else batch.ways
        tuner = GradientLearner(self._make, inner=self._inner, ways=ways, centred=self._centred)
        return tuner.logits({**body, **fresh}, batch)


def fine_tuning(
    input_shape: tuple[int, ...],
    ways: int,
    n_classes: int,
    *,
    width: int = 32,
    steps: int = 10,
    lr: float = 0.1,
    prototypical: bool = False,
    centred: bool = False,
) -> FineTuning:
    """On the four-conv network, for any number of ways."""
    return FineTuning(
        input_shape,
        n_classes=n_classes,
        width=width,
        steps=steps,
        lr=lr,
        prototypical=prototypical,
        centred=centred,
    )
