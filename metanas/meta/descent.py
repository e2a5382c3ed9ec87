"""The inner loop: parameters descend on the supports of a batch of tasks.

[MAML] Finn, Abbeel and Levine. Model-Agnostic Meta-Learning for Fast Adaptation of Deep
Networks. ICML 2017.
[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.

Differs from the papers: T-NAS's gradient of the architecture is divided by its length cell by
cell, since a rate of 30 for gradients through a softmax is a rate for one network size only.
With a head of prototypes the loss asks that warped views of the support be recognised by the
prototypes of the support; or, where a class has several images, that each of them and its views
be recognised by the prototypes of the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.func import grad
from torch.nn import functional

from metanas.meta.batch import Batch, views
from metanas.meta.over_tasks import over_tasks
from metanas.meta.recipe import ARCHITECTURE, HEAD, RATES, SCALE, WEIGHTS, Inner, Pace, Parameters
from metanas.meta.relaxation import normalised
from metanas.meta.task_network import TaskNetwork, with_views


class Descent:
    """Steps of gradient descent on tasks' supports.

    Args:
        network: judges; its parameters are given.
        vectorised: whether tasks are mapped at once; a loop over them else.
    """

    def __init__(self, network: TaskNetwork, inner: Inner, *, vectorised: bool) -> None:
        self._network = network
        self._inner = inner
        self._vectorised = vectorised

    def rates(self, parameters: Parameters) -> Parameters:
        """Where learned rates start: a factor for each logit, or a rate for each step."""
        rates: Parameters = {}
        for name, value in parameters.items():
            given = _given_rate(self._inner.pace, name)
            if given == 0.0:
                continue
            if name.startswith(ARCHITECTURE) and self._inner.own_rates:
                rates[f"{RATES}{name}"] = torch.ones_like(value)
            elif self._inner.learned_rates:
                steps = max(1, self._inner.steps)
                rates[f"{RATES}{name}"] = torch.full((steps,), given)
        return rates

    def trail(
        self,
        parameters: Parameters,
        batch: Batch,
        *,
        pace: Pace,
        temperature: float,
        second_order: bool,
        hard: bool,
        others: bool = False,
        adapt_architecture: bool = True,
    ) -> list[Parameters]:
        """What adapts, before and after each step; with a dimension of tasks after it.

        Args:
            others: whether each image of the support is judged by the others of its class,
                of which there must be some, rather than its views by the support.
            hard: whether a supernet keeps only its strongest operations.
            adapt_architecture: whether its logits follow their gradients.

        Raises:
            ValueError: a learned head is for other ways.
        """
        if self._network.ways is not None and self._network.ways != batch.ways:
            raise ValueError(
                f"its head is learned for {self._network.ways} classes, got tasks of {batch.ways}"
            )
        fast = {
            name: value
            for name, value in parameters.items()
            if _given_rate(pace, name) > 0.0
            and (adapt_architecture or not name.startswith(ARCHITECTURE))
        }
        slow = {name: value for name, value in parameters.items() if name not in fast}
        slow |= self._network.origin(parameters)
        trail = [fast]
        lesson = self._lesson(batch, others)  # the same at every step
        for step in range(pace.steps):
            gradients = self._gradients(
                fast,
                slow,
                lesson,
                batch.ways,
                temperature,
                second_order=second_order,
                hard=hard,
                others=others,
                first=step == 0,
            )
            fast = {
                name: value - self._rate(parameters, pace, name, step) * gradients[name]
                for name, value in fast.items()
            }
            trail.append(fast)
        return trail

    def _rate(self, parameters: Parameters, pace: Pace, name: str, step: int) -> Tensor | float:
        given = _given_rate(pace, name)
        learned = parameters.get(f"{RATES}{name}")
        if learned is None:
            return given
        if name.startswith(ARCHITECTURE) and self._inner.own_rates:
            return given * learned
        return learned[min(step, len(learned) - 1)] if self._inner.learned_rates else given

    def _gradients(
        self,
        fast: Parameters,
        slow: Parameters,
        lesson: tuple[Tensor, Tensor, Tensor],
        ways: int,
        temperature: float,
        *,
        second_order: bool,
        hard: bool,
        others: bool,
        first: bool,
    ) -> Parameters:
        """Of the support's loss, shape (b, ...).

        Args:
            lesson: as `_lesson` gives it.
        """

        def loss(
            fast: Parameters,
            slow: Parameters,
            masks: Parameters,
            x: Tensor,
            labels: Tensor,
            support: Tensor,
        ) -> Tensor:
            both = {**slow, **fast}
            own = kept and replace(kept, masks=masks)
            if others:
                logits = self._network.among_themselves(both, x, ways, temperature, own)
            else:
                logits = self._network.logits(both, x, support, ways, temperature, own)
            return functional.cross_entropy(logits, labels)

        def gradient(*given: Any) -> Parameters:
            found: Parameters = grad(loss)(*given)
            kinds = {name: g for name, g in found.items() if name.startswith(ARCHITECTURE)}
            return {**found, **normalised(kinds)}

        with torch.set_grad_enabled(second_order and torch.is_grad_enabled()):
            given = fast if second_order else {n: v.detach() for n, v in fast.items()}
            still = slow if second_order else {n: v.detach() for n, v in slow.items()}
            kept = self._network.discrete({**still, **given}) if hard else None
            result: Parameters = over_tasks(
                gradient,
                (None if first else 0, None, None if kept is None else kept.tasks),
                given,
                still,
                kept.masks if kept else {},
                *lesson,
                vectorised=self._vectorised,
            )
        return result

    def _lesson(self, batch: Batch, others: bool) -> tuple[Tensor, Tensor, Tensor]:
        """What the inner loss judges, its labels, and what it is judged by if not by itself."""
        if self._network.ways is not None:
            return batch.support, batch.support_labels, batch.support
        moved = views(batch.support)
        if others:
            labels = batch.support_labels.repeat_interleave(1 + len(moved), dim=1)
            return with_views(batch.support, moved), labels, batch.support
        labels = batch.support_labels.repeat(1, len(moved))
        return moved.transpose(0, 1).flatten(1, 2), labels, batch.support


def _given_rate(pace: Pace, name: str) -> float:
    """0 for what does not adapt."""
    if name.startswith(ARCHITECTURE):
        return pace.architecture_lr
    return pace.lr if name.startswith((WEIGHTS, HEAD)) and name != SCALE else 0.0
