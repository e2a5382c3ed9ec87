"""Learning to adapt by gradient descent: initial weights, and logits of an architecture.

[MAML] Finn, Abbeel and Levine. Model-Agnostic Meta-Learning for Fast Adaptation of Deep
Networks. ICML 2017.
[MAML++] Antoniou, Edwards and Storkey. How to Train Your MAML. ICLR 2019.
[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.
[Proto-MAML] Triantafillou et al. Meta-Dataset. ICLR 2020: a head made of prototypes.

One class, since the methods differ only in what adapts, how, and by which gradients;
their files say which. Everything is a pure function of named parameters, mapped over
the tasks of a batch by `torch.func.vmap`, or in a loop.

Differs from the papers: T-NAS's gradient of the architecture is divided by its length
cell by cell, since a rate of 30 for gradients through a softmax is a rate for one
network size only. A head of prototypes is computed anew from the adapted network, so that
any number of classes can be told apart; its inner loss asks that slightly moved support
images be recognised by the prototypes of the unmoved ones. In the second part of
meta-training only the strongest operations are met, with straight-through gradients of
all gates, so that what is derived keeps its weights. Batches are always normalised
by themselves, as is usual: queries are judged together.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional

from metanas.meta.batch import Batch, views
from metanas.meta.over_tasks import over_tasks
from metanas.meta.prototypes import prototypes
from metanas.meta.recipe import (
    ARCHITECTURE,
    HEAD,
    RATES,
    SCALE,
    WEIGHTS,
    Inner,
    Loss,
    Parameters,
    Relaxed,
)
from metanas.meta.relaxation import gates, normalised, sharpening, strongest
from metanas.networks.darts_ops import share_of_parameter_free
from metanas.networks.mixed import gates_name


class GradientLearner:
    """Parameters that adapt to a task in a few steps.

    Args:
        make: a fresh network from images to features.
        ways: classes of a learned head; None for a head of prototypes.
        relaxed: where the network is a supernet.
        vectorised: whether tasks are mapped at once; a loop over them else.
        turns: beginnings of names; with several, each outer step learns those of one, in
            turn, from classes of its own.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        *,
        inner: Inner,
        ways: int | None = None,
        relaxed: Relaxed | None = None,
        vectorised: bool = True,
        turns: tuple[tuple[str, ...], ...] = ((WEIGHTS, ARCHITECTURE, HEAD, RATES),),
    ) -> None:
        if ways is not None and inner.warm_up > 0:
            raise ValueError("a learned head needs adaptation from the start, got a warm-up")
        self.make = make
        self.inner = inner
        self.ways = ways
        self.relaxed = relaxed
        self.vectorised = vectorised
        self.turns = turns
        with torch.random.fork_rng(devices=[]):
            self._body = make()

    def initial(self, seed: int) -> Parameters:
        """Where meta-training starts."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            body = self.make()
            parameters = {f"{WEIGHTS}{name}": p.detach() for name, p in body.named_parameters()}
            features: int = body.features  # type: ignore[assignment]
            if self.ways is None:
                parameters[SCALE] = torch.tensor(10.0).log()
            else:
                head = nn.Linear(features, self.ways)
                parameters[f"{HEAD}weight"] = head.weight.detach()
                parameters[f"{HEAD}bias"] = head.bias.detach()
            if self.relaxed is not None:
                for kind, shape in self.relaxed.kinds.items():
                    parameters[f"{ARCHITECTURE}{kind}"] = 1e-3 * torch.randn(shape)
        if self.inner.learned_rates:
            for name in list(parameters):
                if self._adapts(name):
                    rate = self._first_rate(name)
                    parameters[f"{RATES}{name}"] = torch.full((max(1, self.inner.steps),), rate)
        return parameters

    def loss(self, parameters: Parameters, batch: Batch, *, progress: float) -> Loss:
        """The outer loss at a share of meta-training done.

        Raises:
            ValueError: a learned head is for other ways.
        """
        temperature = self.temperature(progress)
        hard = self.relaxed is not None and progress >= self.relaxed.hard_from
        trail = self._trail(
            parameters,
            batch,
            steps=self.inner.steps if progress >= self.inner.warm_up else 0,
            temperature=temperature,
            second_order=self.inner.second_order,
            hard=hard,
        )
        labels = batch.query_labels.flatten()
        at = trail[1:] if self.inner.every_step and len(trail) > 1 else trail[-1:]
        logits = [self._logits(each, parameters, batch, temperature, hard=hard) for each in at]
        losses = torch.stack(
            [functional.cross_entropy(each.flatten(0, 1), labels) for each in logits]
        )
        value = (losses * _importance(len(at), progress).to(losses)).sum()
        share = self.free_share(parameters, progress=progress)
        if self.relaxed is not None:
            value = value + self.relaxed.against_free * share
        right = logits[-1].argmax(-1) == batch.query_labels
        return Loss(value, float(right.float().mean()), float(share.detach()))

    def logits(
        self,
        parameters: Parameters,
        batch: Batch,
        *,
        steps: int | None = None,
        discrete: bool = True,
        adapt_architecture: bool = True,
    ) -> Tensor:
        """Of the queries after adaptation, shape (b, q, n).

        Args:
            steps: of adaptation; as in meta-training by default.
            discrete: whether a supernet keeps only its strongest operations.
            adapt_architecture: whether its logits follow their gradients.
        """
        adapted = self.adapt(
            parameters,
            batch,
            steps=steps,
            discrete=discrete,
            adapt_architecture=adapt_architecture,
        )
        with torch.no_grad():
            return self._logits(adapted, parameters, batch, self.temperature(1.0), hard=discrete)

    def adapt(
        self,
        parameters: Parameters,
        batch: Batch,
        *,
        steps: int | None = None,
        discrete: bool = True,
        adapt_architecture: bool = True,
    ) -> Parameters:
        """What adapts, after adapting; each with a leading dimension of tasks.

        With no step at all it is as it was, without that dimension.
        """
        plain = {name: value.detach() for name, value in parameters.items()}
        return self._trail(
            plain,
            batch,
            steps=self.inner.steps if steps is None else steps,
            temperature=self.temperature(1.0),
            second_order=False,
            hard=discrete,
            adapt_architecture=adapt_architecture,
        )[-1]

    def temperature(self, progress: float) -> float:
        """Of the gates, at a share of meta-training done."""
        if self.relaxed is None:
            return 1.0
        relaxed = self.relaxed
        return sharpening(progress, last=relaxed.last_temperature, until=relaxed.hard_from)

    def free_share(self, parameters: Parameters, *, progress: float = 1.0) -> Tensor:
        """Mean weight on operations without parameters, in [0, 1]; NaN without an architecture."""
        if self.relaxed is None:
            return torch.tensor(float("nan"))
        temperature = self.temperature(progress)
        shares = [
            share_of_parameter_free(
                gates(parameters[f"{ARCHITECTURE}{kind}"], temperature), self.relaxed.operations
            )
            for kind in self.relaxed.kinds
        ]
        return torch.stack(shares).mean()

    def _adapts(self, name: str) -> bool:
        if name.startswith(ARCHITECTURE):
            return self.inner.architecture_lr > 0
        return name.startswith((WEIGHTS, HEAD)) and name != SCALE

    def _first_rate(self, name: str) -> float:
        is_architecture = name.startswith(ARCHITECTURE)
        return self.inner.architecture_lr if is_architecture else self.inner.lr

    def _trail(
        self,
        parameters: Parameters,
        batch: Batch,
        *,
        steps: int,
        temperature: float,
        second_order: bool,
        hard: bool,
        adapt_architecture: bool = True,
    ) -> list[Parameters]:
        """What adapts, before and after each step."""
        if self.ways is not None and self.ways != batch.ways:
            raise ValueError(
                f"its head is learned for {self.ways} classes, got tasks of {batch.ways}"
            )
        fast = {
            name: value
            for name, value in parameters.items()
            if self._adapts(name) and (adapt_architecture or not name.startswith(ARCHITECTURE))
        }
        slow = {name: value for name, value in parameters.items() if name not in fast}
        moved = views(batch.support) if self.ways is None else None
        trail = [fast]
        for step in range(steps):
            gradients = self._gradients(
                fast,
                slow,
                batch,
                moved,
                temperature,
                second_order=second_order,
                hard=hard,
                first=step == 0,
            )
            fast = {
                name: value - self._rate(parameters, name, step) * gradients[name]
                for name, value in fast.items()
            }
            trail.append(fast)
        return trail

    def _rate(self, parameters: Parameters, name: str, step: int) -> Tensor | float:
        rates = parameters.get(f"{RATES}{name}")
        return self._first_rate(name) if rates is None else rates[min(step, len(rates) - 1)]

    def _gradients(
        self,
        fast: Parameters,
        slow: Parameters,
        batch: Batch,
        moved: Tensor | None,
        temperature: float,
        *,
        second_order: bool,
        hard: bool,
        first: bool,
    ) -> Parameters:
        """Of the support's loss, shape (b, ...)."""

        def loss(fast: Parameters, slow: Parameters, masks: Parameters, *task: Tensor) -> Tensor:
            support, labels, *rest = task
            both = {**slow, **fast}
            if not rest:
                logits = self._linear(both, support, temperature, masks)
                return functional.cross_entropy(logits, labels)
            queries = rest[0].flatten(0, 1)
            logits = self._prototypical(both, support, queries, batch.ways, temperature, masks)
            return functional.cross_entropy(logits, labels.repeat(len(rest[0])))

        def gradient(
            fast: Parameters, slow: Parameters, masks: Parameters, *task: Tensor
        ) -> Parameters:
            found: Parameters = grad(loss)(fast, slow, masks, *task)
            kinds = {name: g for name, g in found.items() if name.startswith(ARCHITECTURE)}
            return {**found, **normalised(kinds)}

        tasks = [batch.support, batch.support_labels]
        if moved is not None:
            tasks.append(moved.transpose(0, 1))
        with torch.set_grad_enabled(second_order and torch.is_grad_enabled()):
            given = fast if second_order else {n: v.detach() for n, v in fast.items()}
            still = slow if second_order else {n: v.detach() for n, v in slow.items()}
            masks, masked = self._masks({**still, **given}) if hard else ({}, None)
            mapped = None if first else 0
            dims = (mapped, None, masked)
            result: Parameters = over_tasks(
                gradient, dims, given, still, masks, *tasks, vectorised=self.vectorised
            )
        return result

    def _logits(
        self,
        fast: Parameters,
        parameters: Parameters,
        batch: Batch,
        temperature: float,
        *,
        hard: bool,
    ) -> Tensor:
        slow = {name: value for name, value in parameters.items() if name not in fast}
        mapped = 0 if any(p.ndim != parameters[name].ndim for name, p in fast.items()) else None
        masks, masked = self._masks({**slow, **fast}) if hard else ({}, None)

        def judge(
            fast: Parameters, slow: Parameters, masks: Parameters, support: Tensor, query: Tensor
        ) -> Tensor:
            both = {**slow, **fast}
            if self.ways is not None:
                return self._linear(both, query, temperature, masks)
            return self._prototypical(both, support, query, batch.ways, temperature, masks)

        found: Tensor = over_tasks(
            judge,
            (mapped, None, masked),
            fast,
            slow,
            masks,
            batch.support,
            batch.query,
            vectorised=self.vectorised,
        )
        return found

    def _masks(self, both: Parameters) -> tuple[Parameters, int | None]:
        """What a discrete network keeps, by kind of cell, and their dimension of tasks."""
        if self.relaxed is None:
            return {}, None
        masks = {
            kind: strongest(
                both[f"{ARCHITECTURE}{kind}"].detach().softmax(-1),
                self.relaxed.operations,
                self.relaxed.nodes,
            )
            for kind in self.relaxed.kinds
        }
        return masks, 0 if next(iter(masks.values())).ndim > 2 else None

    def _linear(
        self, both: Parameters, x: Tensor, temperature: float, masks: Parameters | None = None
    ) -> Tensor:
        features = self.features(both, x, temperature, masks)
        return functional.linear(features, both[f"{HEAD}weight"], both[f"{HEAD}bias"])

    def _prototypical(
        self,
        both: Parameters,
        support: Tensor,
        query: Tensor,
        ways: int,
        temperature: float,
        masks: Parameters | None = None,
    ) -> Tensor:
        features = self.features(both, torch.cat([support, query]), temperature, masks)
        weight, bias = prototypes(features[: len(support)], ways, both[SCALE])
        return functional.linear(features[len(support) :], weight, bias)

    def features(
        self, both: Parameters, x: Tensor, temperature: float, masks: Parameters | None = None
    ) -> Tensor:
        """Of one task's images (n, c, h, w) under one task's parameters; (n, features)."""
        given = {
            name.removeprefix(WEIGHTS): p for name, p in both.items() if name.startswith(WEIGHTS)
        }
        if self.relaxed is not None:
            for kind in self.relaxed.kinds:
                gate = gates(both[f"{ARCHITECTURE}{kind}"], temperature)
                # Straight through: the value is the mask, the derivative that of the gates.
                given[gates_name(kind)] = masks[kind] + gate - gate.detach() if masks else gate
        found: Tensor = functional_call(self._body, given, (x,))
        return found


def _importance(n: int, progress: float) -> Tensor:
    """Weights of the losses after each step: even at first, all on the last from half way on."""
    last = min(1.0, 2 * progress)
    weights = torch.full((n,), (1 - last) / n)
    weights[-1] += last
    return weights
