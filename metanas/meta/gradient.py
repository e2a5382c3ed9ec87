"""Learning to adapt by gradient descent: initial weights, and logits of an architecture.

[MAML] Finn, Abbeel and Levine. Model-Agnostic Meta-Learning for Fast Adaptation of Deep
Networks. ICML 2017.
[MAML++] Antoniou, Edwards and Storkey. How to Train Your MAML. ICLR 2019.
[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.
[Proto-MAML] Triantafillou et al. Meta-Dataset. ICLR 2020: a head made of prototypes.

One class, since the methods differ only in what adapts, how, and by which gradients;
their files say which. Everything is a pure function of named parameters, mapped over
the tasks of a batch by `torch.func.vmap`, or in a loop. The inner loop is
`metanas.meta.descent`.

Differs from the papers: a head of prototypes is computed anew from the adapted network, so
that any number of classes can be told apart, and once meta-trained from views of the support
besides; several images of a class are then judged by each other while a task adapts. In the
second part of meta-training only the strongest operations are met, and the logits that tasks
start from rest, so that what is derived keeps its weights, and is all that is computed: several
times as fast. An operation left out comes back for a task where the kept one of its edge falls
behind it. Batches are always normalised by themselves, as is usual: queries are judged together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from metanas.meta.batch import Batch, views
from metanas.meta.descent import Descent
from metanas.meta.over_tasks import over_tasks
from metanas.meta.recipe import (
    ARCHITECTURE,
    EVERYTHING,
    FIRST_SCALE,
    HEAD,
    SCALE,
    WEIGHTS,
    Inner,
    Loss,
    Parameters,
    Relaxed,
)
from metanas.meta.relaxation import gates, sharpening
from metanas.meta.task_network import Derive, TaskNetwork, with_views
from metanas.networks.darts_ops import share_of_parameter_free


class GradientLearner:
    """Parameters that adapt to a task in a few steps.

    Args:
        make: a fresh network from images to features.
        ways: classes of a learned head; None for a head of prototypes.
        relaxed: where the network is a supernet.
        derive: of a supernet, see `metanas.meta.task_network.Derive`.
        centred: whether images are, before all else; see `metanas.networks.centring`.
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
        derive: Derive | None = None,
        centred: bool = False,
        vectorised: bool = True,
        turns: tuple[tuple[str, ...], ...] = EVERYTHING,
    ) -> None:
        if ways is not None and inner.warm_up > 0:
            raise ValueError("a learned head needs adaptation from the start, got a warm-up")
        if ways is not None and inner.ways is not None:
            raise ValueError(f"a learned head takes tasks whole, got {inner.ways} ways of them")
        if ways is not None and inner.several is not None:
            raise ValueError("a learned head has one pace, got another for several images")
        self.make = make
        self.inner = inner
        self.ways = ways
        self.relaxed = relaxed
        self.centred = centred
        self.vectorised = vectorised
        self.turns = turns
        with torch.random.fork_rng(devices=[]):
            self.network = TaskNetwork(make(), ways=ways, relaxed=relaxed, derive=derive)
        self._descent = Descent(self.network, inner, vectorised=vectorised)

    def initial(self, seed: int) -> Parameters:
        """Where meta-training starts."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            body = self.make()
            parameters = {f"{WEIGHTS}{name}": p.detach() for name, p in body.named_parameters()}
            features: int = body.features  # type: ignore[assignment]
            if self.ways is None:
                parameters[SCALE] = torch.tensor(FIRST_SCALE).log()
            else:
                head = nn.Linear(features, self.ways)
                parameters[f"{HEAD}weight"] = head.weight.detach()
                parameters[f"{HEAD}bias"] = head.bias.detach()
            if self.relaxed is not None:
                for kind, shape in self.relaxed.kinds.items():
                    parameters[f"{ARCHITECTURE}{kind}"] = 1e-3 * torch.randn(shape)
        return parameters | self._descent.rates(parameters)

    def loss(self, parameters: Parameters, batch: Batch, *, progress: float) -> Loss:
        """The outer loss at a share of meta-training done.

        Raises:
            ValueError: a learned head is for other ways.
        """
        temperature = self.temperature(progress)
        hard = self.relaxed is not None and progress >= self.relaxed.hard_from
        if hard:
            parameters = {
                n: p.detach() if n.startswith(ARCHITECTURE) else p for n, p in parameters.items()
            }
        adapts = progress >= self.inner.warm_up
        batch = self._seen(batch)
        if adapts and self.inner.ways is not None:
            batch = batch.apart(self.inner.ways)
        trail = self._descent.trail(
            parameters,
            batch,
            pace=self.inner.pace if adapts else replace(self.inner.pace, steps=0),
            temperature=temperature,
            second_order=self.inner.second_order,
            hard=hard,
        )
        labels = batch.query_labels.flatten()
        at = trail[1:] if self.inner.every_step and len(trail) > 1 else trail[-1:]
        logits = [
            self._logits(each, parameters, batch, temperature, hard=hard, reference=batch.support)
            for each in at
        ]
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
            steps: of adaptation; by default as many as `metanas.meta.recipe.Inner` says,
                of tasks with several images a class its `several`.
            discrete: whether a supernet keeps only its strongest operations.
            adapt_architecture: whether its logits follow their gradients.
        """
        batch = self._seen(batch)
        adapted = self._adapted(
            parameters,
            batch,
            steps=steps,
            discrete=discrete,
            adapt_architecture=adapt_architecture,
        )
        with torch.no_grad():
            return self._logits(
                adapted,
                parameters,
                batch,
                self.temperature(1.0),
                hard=discrete,
                reference=with_views(batch.support, views(batch.support)),
            )

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
        return self._adapted(
            parameters,
            self._seen(batch),
            steps=steps,
            discrete=discrete,
            adapt_architecture=adapt_architecture,
        )

    def _seen(self, batch: Batch) -> Batch:
        return batch.centred() if self.centred else batch

    def _adapted(
        self,
        parameters: Parameters,
        batch: Batch,
        *,
        steps: int | None,
        discrete: bool,
        adapt_architecture: bool,
    ) -> Parameters:
        plain = {name: value.detach() for name, value in parameters.items()}
        several = self.inner.several if batch.shots > 1 else None
        pace = self.inner.pace if several is None else several
        return self._descent.trail(
            plain,
            batch,
            pace=pace if steps is None else replace(pace, steps=steps),
            temperature=self.temperature(1.0),
            second_order=False,
            hard=discrete,
            others=several is not None,
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

    def _logits(
        self,
        fast: Parameters,
        parameters: Parameters,
        batch: Batch,
        temperature: float,
        *,
        hard: bool,
        reference: Tensor,
    ) -> Tensor:
        slow = {name: value for name, value in parameters.items() if name not in fast}
        slow |= self.network.origin(parameters)
        mapped = 0 if any(p.ndim != parameters[name].ndim for name, p in fast.items()) else None
        kept = self.network.discrete({**slow, **fast}) if hard else None

        def judge(
            fast: Parameters, slow: Parameters, masks: Parameters, query: Tensor, reference: Tensor
        ) -> Tensor:
            both = {**slow, **fast}
            own = kept and replace(kept, masks=masks)
            return self.network.logits(both, query, reference, batch.ways, temperature, own)

        found: Tensor = over_tasks(
            judge,
            (mapped, None, None if kept is None else kept.tasks),
            fast,
            slow,
            kept.masks if kept else {},
            batch.query,
            reference,
            vectorised=self.vectorised,
        )
        return found


def _importance(n: int, progress: float) -> Tensor:
    """Weights of the losses after each step: even at first, all on the last from half way on."""
    last = min(1.0, 2 * progress)
    weights = torch.full((n,), (1 - last) / n)
    weights[-1] += last
    return weights
