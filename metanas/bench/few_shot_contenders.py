"""What the few-shot bench compares: methods, meta-trained on equal terms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metanas.meta import METHODS
from metanas.meta.gradient import GradientLearner
from metanas.meta.identity import identity
from metanas.meta.learner import MetaLearner
from metanas.meta.meta_architecture import MetaArchitecture
from metanas.meta.plan import Plan
from metanas.meta.recipe import HEAD, RATES, WEIGHTS, Parameters
from metanas.meta.supernet import Super
from metanas.meta.tnas import tnas
from metanas.meta.training import most_ways
from metanas.meta_training import carried_out
from metanas.spaces.random_chooser import RandomChooser
from tasks.episodes import Classes

TNAS = "tnas"
UNADAPTED, RANDOM, SUPPORT = "tnas_unadapted", "random_architecture", "support_search"
LEARN2LEARN = "learn2learn_maml"

ALL = (*METHODS, UNADAPTED, RANDOM, SUPPORT, LEARN2LEARN)
"""What can be compared."""

LINEAR = frozenset({"maml", "maml_plus_plus", "fine_tuning"})
"""Methods whose own head is a linear layer, and that can have one of prototypes."""

PLAIN = LINEAR | {"protonet"}
"""Methods that see images as they are, unless they are given T-NAS's head."""

HEADS = OWN_HEAD, PROTOTYPES = "own", "prototypes"

SEARCH: dict[str, Any] = {"steps": 20, "several_steps": 20, "several_architecture_lr": 0.03}
"""From nothing it takes more and longer steps than from where meta-training has led."""

EXPENSE = "meta_batches", "tasks_each", "ways"
"""Of meta-training, as `Contender.expense` has them."""

Progress = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Contender:
    """A method ready to be judged.

    Attributes:
        learner: how parameters become predictions.
        parameters: meta-trained, or not at all.
        seconds: that meta-training took.
        expense: what it was: the numbers of meta-batches, of tasks in each and of a task's
            ways; NaN where they are not known.
    """

    learner: MetaLearner
    parameters: Parameters
    seconds: float
    expense: tuple[float, float, float]

    @property
    def params(self) -> int:
        """Weights of the network, whole supernets included."""
        return sum(
            p.numel()
            for name, p in self.parameters.items()
            if name.startswith((WEIGHTS, HEAD)) and not name.startswith(RATES)
        )


def known(meta: MetaArchitecture) -> Contender:
    """Meta-trained before."""
    names = ("seconds", "iterations", "batch", "train_ways")
    seconds, *expense = (meta.facts.get(name, math.nan) for name in names)
    return Contender(meta.learner, meta.parameters, seconds, tuple(expense))  # type: ignore[arg-type]


def head_of(name: str, head: str) -> str:
    """What a method's head is made of, where `head` was asked for."""
    own_linear = name == LEARN2LEARN or (name in LINEAR and head == OWN_HEAD)
    return "linear" if own_linear else "prototypes"


class Trainer:
    """Meta-trains what is asked for, each once.

    Args:
        train: classes to learn from.
        validation: classes that choose when to stop.
        ways, shots: of the tasks that all will be judged by.
        plan: of every meta-training; where the head has a fixed number of ways, with so many
            ways and as many tasks as make the same number of images.
        prototypical: whether all methods have a head of prototypes, and centred images.
        checkpoints: folder for one file a training, to go on from.
        progress: called with outer steps done.
    """

    def __init__(
        self,
        train: Classes,
        validation: Classes,
        ways: int,
        shots: int,
        plan: Plan,
        prototypical: bool,
        checkpoints: Path | None,
        progress: Progress,
    ) -> None:
        self._train = train
        self._validation = validation
        self._ways, self._shots = ways, shots
        self._plan = plan
        self._prototypical = prototypical
        self._checkpoints = checkpoints
        self._progress = progress
        self._known: dict[str, Contender] = {}

    def contender(self, name: str) -> Contender:
        """The method or control of that name, trained."""
        shared = TNAS if name == UNADAPTED else name
        if shared not in self._known:
            self._known[shared] = self._made(shared)
        return self._known[shared]

    def _made(self, name: str) -> Contender:
        shape = self._train.shape
        if name == SUPPORT:
            searcher = tnas(shape, self._ways, 0, **SEARCH)
            return Contender(searcher, searcher.initial(self._plan.seed), 0.0, (0, 0, 0))
        if name == LEARN2LEARN:
            from metanas.meta.learn2learn import Learn2LearnMaml

            return self._trained(name, Learn2LearnMaml(shape, self._ways), fixed=True)
        if name == RANDOM:
            return self._trained(name, _random_architecture(shape, self._plan.seed), fixed=False)
        linear = name in LINEAR
        own = {"prototypical": True} if linear and self._prototypical else {}
        if self._prototypical and name in PLAIN:
            own |= {"centred": True}
        learner = METHODS[name](shape, self._ways, len(self._train), **own)
        name = f"{name} {PROTOTYPES}" if own else name
        fixed = isinstance(learner, GradientLearner) and learner.ways is not None
        return self._trained(name, learner, fixed=fixed)

    def _trained(self, name: str, learner: MetaLearner, *, fixed: bool) -> Contender:
        plan = replace(
            self._plan,
            ways=min(self._plan.ways, len(self._train)),
            shots=self._shots,
            validation_ways=self._ways,
            validation_shots=self._shots,
        )
        if fixed:
            images = plan.batch * plan.ways * (plan.shots + plan.queries)
            batch = max(1, round(images / (self._ways * (self._shots + plan.queries))))
            plan = replace(plan, ways=self._ways, batch=batch)
        plan = replace(plan, ways=min(plan.ways, most_ways(learner, self._train)))
        made = (learner.inner, learner.relaxed) if isinstance(learner, GradientLearner) else ()
        described = f"{name} {made}"
        path = None
        if self._checkpoints is not None:
            digest = identity(described, plan, self._train, self._validation)
            path = self._checkpoints / f"few-shot-{digest}.pt"
        training = carried_out(
            learner,
            described,
            self._train,
            self._validation,
            plan,
            path=path,
            told=lambda point, n: self._progress(point.iteration, n, f"training {name}"),
        )
        expense = (training.iteration, plan.batch, plan.ways)
        return Contender(learner, training.best, training.seconds, expense)


def _random_architecture(shape: tuple[int, int, int], seed: int) -> GradientLearner:
    made = Super()
    space = made.space
    drawn = space.suggest(RandomChooser(np.random.default_rng(seed)))
    return GradientLearner(
        made.discrete_maker(space.cells(drawn), shape),
        inner=made.inner.of_weights,
        centred=made.centred,
    )
