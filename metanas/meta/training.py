"""Meta-training: the outer loop, episode by episode.

Adam on the parameters a learner starts from, their rates falling along a cosine. The
architecture's logits have an Adam of their own, as in DARTS, with less momentum.
Nothing random is drawn but the episodes, which a seed and their number fix: whoever takes
up a saved state goes on exactly as if it had never stopped, unless time was limited.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metanas.meta.batch import batch_of
from metanas.meta.interval import Mean, mean_of
from metanas.meta.learner import MetaLearner
from metanas.meta.plan import VALIDATION_SEED, Plan
from metanas.meta.recipe import ARCHITECTURE, RATES, Parameters
from tasks.episodes import Classes, draw

AT_ONCE = 20
"""Validation episodes a batch."""

FACTORS_RATE = 0.02
"""Adam's first rate for factors, which start at 1: some must be able to change sign."""

LOWEST_RATE = 0.01
"""The cosine ends at this share of the first rate."""


@dataclass(frozen=True)
class Point:
    """Where meta-training stands.

    Attributes:
        iteration: outer steps done.
        loss: mean since the last point.
        accuracy: on validation episodes.
        free_share: of the architecture's weight on operations without parameters; NaN
            without an architecture.
    """

    iteration: int
    loss: float
    accuracy: Mean
    free_share: float


class MetaTraining:
    """One meta-training. Iterating it trains, or goes on from where it stopped.

    Every iterator yields all points from the first on; what is past is repeated from memory.

    Args:
        train: classes that episodes are drawn from.
        validation: others.
        state: as `state` gave it, to go on from.

    Attributes:
        parameters: as trained so far.
        best: those of the point with the highest validation accuracy so far.
        points: so far.
        seconds: spent so far, on this and earlier machines.

    Raises:
        ValueError: too few classes or images for the plan, or a state of another learner.
    """

    def __init__(
        self,
        learner: MetaLearner,
        train: Classes,
        validation: Classes,
        plan: Plan,
        *,
        state: Mapping[str, Any] | None = None,
        device: torch.device | None = None,
    ) -> None:
        train.check(plan.ways, plan.shots, plan.queries)
        self._validation_queries = _queries(validation, plan)
        self.learner = learner
        self.plan = plan
        self._parts = _parts(train, len(learner.turns), plan)
        self._validation = validation
        self._device = device or torch.device("cpu")
        self.points: list[Point] = []
        self.seconds = 0.0
        self.iteration = 0
        self._losses: list[float] = []
        self._free_share = math.nan
        given = learner.initial(plan.seed)
        if state is not None:
            given = _fitting(state["parameters"], given)
        self._leaves: Parameters = {
            name: value.to(self._device).clone().requires_grad_() for name, value in given.items()
        }
        self.best = {name: value.detach().clone() for name, value in self._leaves.items()}
        self._optimizers = self._adams()
        if state is not None:
            self._resume(state)

    @property
    def parameters(self) -> Parameters:
        """As trained so far."""
        return {name: value.detach().clone() for name, value in self._leaves.items()}

    @property
    def progress(self) -> float:
        """The share of training that is done: of the steps, or of the time where that is more."""
        steps = self.iteration / self.plan.iterations
        return steps if self.plan.seconds is None else max(steps, self.seconds / self.plan.seconds)

    def __iter__(self) -> Iterator[Point]:
        done = 0
        while True:
            while done < len(self.points):
                yield self.points[done]
                done += 1
            if self.progress >= 1:
                return
            last, since = time.perf_counter(), self.iteration
            while self.progress < 1 and self.iteration < since + self.plan.every:
                self._step(self.progress)
                now = time.perf_counter()
                self.seconds += now - last
                last = now
            self._validate()
            self.seconds += time.perf_counter() - last

    def state(self) -> dict[str, Any]:
        """All that is needed to go on: tensors, numbers, strings and containers of them."""
        return {
            "parameters": self.parameters,
            "best": dict(self.best),
            "optimizers": [each.state_dict() for each, _ in self._optimizers],
            "iteration": self.iteration,
            "seconds": self.seconds,
            "points": [
                [p.iteration, p.loss, p.accuracy.value, p.accuracy.ci95, p.free_share]
                for p in self.points
            ],
        }

    def _adams(self) -> list[tuple[torch.optim.Optimizer, float]]:
        """Each with the rate it starts at."""
        factors = f"{RATES}{ARCHITECTURE}"
        groups: dict[str, list[Tensor]] = {}
        for name, value in self._leaves.items():
            first = next((each for each in (ARCHITECTURE, factors) if name.startswith(each)), "")
            groups.setdefault(first, []).append(value)
        rates = {"": self.plan.lr, ARCHITECTURE: self.plan.architecture_lr, factors: FACTORS_RATE}
        betas = {ARCHITECTURE: (0.5, 0.999)}
        return [
            (
                torch.optim.Adam(groups[first], lr=rate, betas=betas.get(first, (0.9, 0.999))),
                rate,
            )
            for first, rate in rates.items()
            if first in groups
        ]

    def _step(self, progress: float) -> None:
        plan = self.plan
        turn = self.iteration % len(self._parts)
        first = self.iteration * plan.batch
        for optimizer, _ in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        total = 0.0
        chunk = plan.chunk or plan.batch
        for start in range(0, plan.batch, chunk):
            numbers = range(first + start, first + min(start + chunk, plan.batch))
            episodes = draw(
                self._parts[turn],
                numbers,
                ways=plan.ways,
                shots=plan.shots,
                queries=plan.queries,
                seed=plan.seed,
                warp=plan.warp,
            )
            batch = batch_of(episodes.to(self._device))
            loss = self.learner.loss(self._leaves, batch, progress=progress)
            share = len(numbers) / plan.batch
            torch.autograd.backward(loss.value * share)
            total += float(loss.value.detach()) * share
            self._free_share = loss.free_share
        if not math.isfinite(total):
            raise FloatingPointError(
                f"the loss is no longer finite after {self.iteration} iterations; lower lr"
            )
        self._update(self.learner.turns[turn], progress)
        self._losses.append(total)
        self.iteration += 1

    def _update(self, names: tuple[str, ...], progress: float) -> None:
        for name, value in self._leaves.items():
            if not name.startswith(names):
                value.grad = None
        torch.nn.utils.clip_grad_norm_(list(self._leaves.values()), self.plan.clip)
        falling = LOWEST_RATE + (1 - LOWEST_RATE) * (1 + math.cos(math.pi * progress)) / 2
        for optimizer, rate in self._optimizers:
            optimizer.param_groups[0]["lr"] = rate * falling
            optimizer.step()

    def _validate(self) -> None:
        plan = self.plan
        parameters = self.parameters
        found = accuracies(
            self.learner,
            parameters,
            self._validation,
            ways=plan.validation_ways,
            shots=plan.validation_shots,
            queries=self._validation_queries,
            episodes=plan.validation_episodes,
            seed=VALIDATION_SEED,
            device=self._device,
        )
        mean = mean_of(found)
        if not self.points or mean.value >= max(p.accuracy.value for p in self.points):
            self.best = parameters
        loss = sum(self._losses) / len(self._losses)
        self._losses = []
        self.points.append(Point(self.iteration, loss, mean, self._free_share))

    def _resume(self, state: Mapping[str, Any]) -> None:
        for (optimizer, _), saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.best = {name: value.to(self._device) for name, value in state["best"].items()}
        self.iteration, self.seconds = int(state["iteration"]), float(state["seconds"])
        self.points = [
            Point(int(i), loss, Mean(value, ci95), share)
            for i, loss, value, ci95, share in state["points"]
        ]


def _fitting(found: Parameters, wanted: Parameters) -> Parameters:
    """What was found, if it has the names and shapes wanted."""
    for name in sorted({*found, *wanted}):
        shapes = [tuple(each[name].shape) if name in each else None for each in (wanted, found)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the state is that of another learner: need {name} of shape {shapes[0]}, "
                f"got {shapes[1]}"
            )
    return found


def accuracies(
    learner: MetaLearner,
    parameters: Parameters,
    classes: Classes,
    *,
    ways: int,
    shots: int,
    queries: int,
    episodes: int,
    seed: int,
    device: torch.device | None = None,
) -> Tensor:
    """The accuracy in each of the first so many episodes of a seed, shape (episodes,).

    Raises:
        ValueError: too few classes or images.
    """
    found = []
    at_once = max(1, AT_ONCE * 5 // ways)
    for start in range(0, episodes, at_once):
        numbers = range(start, min(start + at_once, episodes))
        drawn = draw(classes, numbers, ways=ways, shots=shots, queries=queries, seed=seed)
        batch = batch_of(drawn.to(device or torch.device("cpu")))
        right = learner.logits(parameters, batch).argmax(-1) == batch.query_labels
        found.append(right.float().mean(1).cpu())
    return torch.cat(found)


def most_ways(learner: MetaLearner, train: Classes) -> int:
    """Classes that an episode can have, where each turn has classes of its own."""
    turns = len(learner.turns)
    return len(train.names) // turns * (len(train) // len(train.names))


def _parts(train: Classes, n: int, plan: Plan) -> tuple[Classes, ...]:
    """The classes of each turn: all of them, or a part of its own."""
    if n == 1:
        return (train,)
    parts = train.split([1 / n] * (n - 1), seed=plan.seed)
    for part in parts:
        part.check(plan.ways, plan.shots, plan.queries)
    return parts


def _queries(validation: Classes, plan: Plan) -> int:
    """As many as the smallest class allows, 15 at most."""
    fewest = min(len(rows) for rows in validation.rows)
    queries = max(1, min(15, fewest - plan.validation_shots))
    validation.check(plan.validation_ways, plan.validation_shots, queries)
    return queries
