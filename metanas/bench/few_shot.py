"""How well do methods learn new classes from a few images? All on the same episodes.

Each method is meta-trained on the classes of `train`, on the same episodes as long as it
takes any number of ways, and judged on episodes of classes it has never seen. A control
shares the training of the method it controls:

``tnas_unadapted``: T-NAS whose architecture stays that of meta-training.
``random_architecture``: a cell drawn at random, meta-trained as T-NAS is.
``support_search``: architecture and weights from nothing, on the support alone.
``learn2learn_maml``: MAML of the library learn2learn, where that is installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metanas.evaluators import checkpoint
from metanas.meta import METHODS
from metanas.meta.batch import Batch, batch_of
from metanas.meta.gradient import GradientLearner
from metanas.meta.interval import mean_of
from metanas.meta.learner import MetaLearner
from metanas.meta.meta_architecture import MetaArchitecture
from metanas.meta.recipe import HEAD, RATES, WEIGHTS, Inner, Parameters
from metanas.meta.supernet import Super
from metanas.meta.tnas import tnas
from metanas.meta.training import MetaTraining, Plan, most_ways
from metanas.spaces.darts import Darts
from metanas.spaces.random_chooser import RandomChooser
from tasks.episodes import Classes, check_disjoint, draw

TNAS = "tnas"
UNADAPTED, RANDOM, SUPPORT = "tnas_unadapted", "random_architecture", "support_search"
LEARN2LEARN = "learn2learn_maml"

ALL = (*METHODS, UNADAPTED, RANDOM, SUPPORT, LEARN2LEARN)
"""What can be compared."""

COMPARED = (TNAS, UNADAPTED, RANDOM, SUPPORT, "maml", "maml_plus_plus", "protonet", "fine_tuning")
"""What is, by default."""

TEST_SEED = 2**31 - 3
AT_ONCE = 10
SEARCH_STEPS = 20
VALIDATION_SHARE = 0.15

Progress = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Contender:
    """A method ready to be judged.

    Attributes:
        learner: how parameters become predictions.
        parameters: meta-trained, or not at all.
        seconds: that meta-training took.
    """

    learner: MetaLearner
    parameters: Parameters
    seconds: float

    @property
    def params(self) -> int:
        """Weights of the network, whole supernets included."""
        return sum(
            p.numel()
            for name, p in self.parameters.items()
            if name.startswith((WEIGHTS, HEAD)) and not name.startswith(RATES)
        )


def bench_few_shot(
    train: Classes,
    test: Classes,
    *,
    ways: int,
    shots: int,
    episodes: int,
    plan: Plan,
    methods: Sequence[str] = COMPARED,
    meta: MetaArchitecture | None = None,
    checkpoints: Path | None = None,
    progress: Progress = lambda done, total, what: None,
) -> dict[str, Any]:
    """Compares methods on the same test episodes.

    Args:
        train: classes to meta-train on; a part of them is kept to choose when to stop.
        test: classes to judge by.
        plan: of meta-training; methods with a learned head train with `ways` instead, on as
            many images a step.
        meta: judged as T-NAS in place of one trained here.
        checkpoints: folder for one file a training, to go on from.
        progress: called with trainings or batches of episodes done.

    Returns:
        ``methods``: by name ``accuracy``, ``ci95``, ``adapt_seconds`` (a task), ``params``,
        ``train_seconds``. ``paired``: by pair ``first - second`` the mean ``difference`` on
        the same episodes and its ``ci95``.

    Raises:
        ValueError: an unknown method, a class in both sets, too few classes or images.
    """
    for name in methods:
        if name not in ALL:
            raise ValueError(f"unknown method {name!r}; there are {', '.join(ALL)}")
    if episodes < 1 or not methods:
        raise ValueError(f"need a method and an episode, got {len(methods)} and {episodes}")
    check_disjoint(train, test)
    fewest = min(len(rows) for rows in test.rows)
    queries = max(1, min(15, fewest - shots))
    test.check(ways, shots, queries)
    shares = [max(VALIDATION_SHARE, ways / len(train.names))]
    if 2 * ways > len(train.names):
        raise ValueError(
            f"need at least {2 * ways} classes to train with {ways} ways, got {len(train.names)}"
        )
    learned, validation = train.split(shares, seed=plan.seed)
    validation = replace(validation, turned=False)
    trainer = _Trainer(learned, validation, ways, shots, plan, checkpoints, progress)
    found: dict[str, Tensor] = {}
    rows: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(methods):
        if name == LEARN2LEARN:
            contender = trainer.learn2learn()
        elif meta is not None and name in (TNAS, UNADAPTED):
            contender = Contender(meta.learner, meta.parameters, float("nan"))
        else:
            contender = trainer.contender(name)
        judge = _judge_of(name, contender)
        accuracy, seconds = _judged(judge, test, ways, shots, queries, episodes, name, progress)
        mean = mean_of(accuracy)
        found[name] = accuracy
        rows[name] = {
            "accuracy": mean.value,
            "ci95": mean.ci95,
            "adapt_seconds": seconds,
            "params": contender.params,
            "train_seconds": contender.seconds,
        }
    return {
        "methods": rows,
        "paired": _paired(found),
        "ways": ways,
        "shots": shots,
        "episodes": episodes,
        "test_classes": len(test),
    }


class _Trainer:
    """Meta-trains what is asked for, each once."""

    def __init__(
        self,
        train: Classes,
        validation: Classes,
        ways: int,
        shots: int,
        plan: Plan,
        checkpoints: Path | None,
        progress: Progress,
    ) -> None:
        self._train = train
        self._validation = validation
        self._ways, self._shots = ways, shots
        self._plan = plan
        self._checkpoints = checkpoints
        self._progress = progress
        self._known: dict[str, Contender] = {}

    def contender(self, name: str) -> Contender:
        shared = TNAS if name == UNADAPTED else name
        if shared not in self._known:
            self._known[shared] = self._made(shared)
        return self._known[shared]

    def learn2learn(self) -> Contender:
        from metanas.meta.learn2learn import Learn2LearnMaml

        learner = Learn2LearnMaml(self._train.shape, self._ways)
        return self._trained(LEARN2LEARN, learner, fixed=True)

    def _made(self, name: str) -> Contender:
        shape = self._train.shape
        if name == SUPPORT:
            searcher = tnas(shape, self._ways, 0, steps=SEARCH_STEPS)
            return Contender(searcher, searcher.initial(self._plan.seed), 0.0)
        if name == RANDOM:
            return self._trained(name, _random_architecture(shape, self._plan.seed), fixed=False)
        learner = METHODS[name](shape, self._ways, len(self._train))
        fixed = isinstance(learner, GradientLearner) and learner.ways is not None
        return self._trained(name, learner, fixed=fixed)

    def _trained(self, name: str, learner: MetaLearner, *, fixed: bool) -> Contender:
        plan = replace(
            self._plan,
            shots=self._shots,
            validation_ways=self._ways,
            validation_shots=self._shots,
        )
        if fixed:
            images = plan.batch * plan.ways * (plan.shots + plan.queries)
            batch = max(1, round(images / (self._ways * (self._shots + plan.queries))))
            plan = replace(plan, ways=self._ways, batch=batch)
        plan = replace(plan, ways=min(plan.ways, most_ways(learner, self._train)))
        path = self._path(name, plan)
        state = checkpoint.read(path) if path is not None else None
        training = MetaTraining(learner, self._train, self._validation, plan, state=state)
        for point in training:
            if path is not None:
                checkpoint.write(path, training.state())
            self._progress(point.iteration, plan.iterations, f"training {name}")
        return Contender(learner, training.best, training.seconds)

    def _path(self, name: str, plan: Plan) -> Path | None:
        if self._checkpoints is None:
            return None
        import hashlib

        images = hashlib.blake2b(self._train.images.numpy().tobytes(), digest_size=8)
        facts = f"{name} {plan} {self._train.names} {images.hexdigest()}"
        digest = hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()
        return self._checkpoints / f"few-shot-{digest}.pt"


def _random_architecture(shape: tuple[int, int, int], seed: int) -> GradientLearner:
    made = Super()
    space = Darts(made.width, made.nodes, made.layout, made.stem, made.grid)
    drawn = space.suggest(RandomChooser(np.random.default_rng(seed)))
    return GradientLearner(
        made.discrete_maker(space.cells(drawn), shape), inner=Inner(steps=1, lr=0.05, warm_up=0.85)
    )


Judge = Callable[[Batch], Tensor]


def _judge_of(name: str, contender: Contender) -> Judge:
    learner, parameters = contender.learner, contender.parameters
    if name == UNADAPTED and isinstance(learner, GradientLearner):
        return lambda batch: learner.logits(parameters, batch, adapt_architecture=False)
    return lambda batch: learner.logits(parameters, batch)


def _judged(
    judge: Judge,
    test: Classes,
    ways: int,
    shots: int,
    queries: int,
    episodes: int,
    name: str,
    progress: Progress,
) -> tuple[Tensor, float]:
    """Accuracy in each episode, and seconds to adapt to one and judge its queries."""
    found, seconds = [], 0.0
    at_once = max(1, AT_ONCE * 5 // ways)
    for start in range(0, episodes, at_once):
        numbers = range(start, min(start + at_once, episodes))
        drawn = draw(test, numbers, ways=ways, shots=shots, queries=queries, seed=TEST_SEED)
        begin = time.perf_counter()
        batch = batch_of(drawn)
        right = judge(batch).argmax(-1) == batch.query_labels
        seconds += time.perf_counter() - begin
        found.append(right.float().mean(1))
        progress(numbers.stop, episodes, f"judging {name}")
    return torch.cat(found), seconds / episodes


def _paired(found: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Of the first method with each other, on the same episodes."""
    names = list(found)
    paired = {}
    for other in names[1:]:
        mean = mean_of(found[names[0]] - found[other])
        paired[f"{names[0]} - {other}"] = {"difference": mean.value, "ci95": mean.ci95}
    return paired
