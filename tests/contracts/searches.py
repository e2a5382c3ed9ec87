"""A search in miniature: a space of numbers, a measure that trains nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence

import numpy as np
import optuna

from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metadata_store.store import MetadataStore
from metanas.protocols import SearchSpace
from metanas.search.measured import Measure
from metanas.search.study import Plan, open_study
from metanas.search.worker import Work
from metanas.spaces.parameter import Parameter
from metanas.spaces.random_chooser import RandomChooser
from metanas.spaces.table import TableSpace

SPACE = TableSpace(
    "mini",
    (
        Parameter("kind", values=("a", "b", "c")),
        Parameter("size", low=1, high=8, integer=True),
        Parameter("rate", low=0.001, high=1.0, log=True),
    ),
)
TASK = Task.table("target")
METRIC = "accuracy"
EPOCHS = 3


def value_of(architecture: Architecture) -> float:
    """Highest, 1, for kind b, size 8 and rate 0.1."""
    choices = architecture.choices
    kind = {"a": 0.1, "b": 0.5, "c": 0.2}[str(choices["kind"])]
    rate = abs(math.log10(float(choices["rate"])) + 1) / 10
    return kind + float(choices["size"]) / 16 - rate


class Fake:
    """Implements `metanas.search.measured.Measurement`."""

    def __init__(self, values: Sequence[float], raises: Exception | None = None) -> None:
        self._values = values
        self._raises = raises
        self.done = 0

    def curve(self) -> Generator[tuple[int, float], None, None]:
        for epoch, value in enumerate(self._values, start=1):
            self.done = epoch
            yield epoch, value
        if self._raises is not None:
            raise self._raises

    def last_epoch(self) -> int:
        return len(self._values)

    def recorded(self) -> TrialState | None:
        return None

    def seconds(self) -> float:
        return 2.0 * self.done

    def extras(self) -> Mapping[str, float]:
        return {"params": 100.0 * self.done}


def measure_with(begin: Callable[[Architecture, int], Fake] | None = None) -> Measure:
    """A measure; by default the curve rises to `value_of` in `EPOCHS` epochs."""

    def rising(architecture: Architecture, seed: int) -> Fake:
        value = value_of(architecture)
        return Fake([value - (EPOCHS - epoch) / 10 for epoch in range(1, EPOCHS + 1)])

    made = begin or rising
    return Measure(METRIC, lambda architecture, task, seed: made(architecture, seed))


def study_in(
    storage: optuna.storages.BaseStorage,
    name: str = "one",
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
    objectives: tuple[str, ...] = ("score",),
) -> optuna.Study:
    """A study of the miniature search."""
    plan = Plan(TASK.name, SPACE.name, objectives, "{}")
    sampler = sampler or optuna.samplers.RandomSampler(seed=0)
    return open_study(storage, name, plan, sampler, pruner or optuna.pruners.NopPruner())


def share(
    store: MetadataStore | None = None,
    measure: Measure | None = None,
    *,
    budget: int = 5,
    space: SearchSpace = SPACE,
    objectives: tuple[str, ...] = ("score",),
    interrupted: Callable[[], bool] = lambda: False,
    on_epoch: Callable[[int, float], None] = lambda epoch, value: None,
) -> Work:
    """A worker's share in it."""
    return Work(
        space=space,
        task=TASK,
        store=MemoryStore() if store is None else store,
        measure=measure or measure_with(),
        objectives=objectives,
        budget=budget,
        interrupted=interrupted,
        on_epoch=on_epoch,
    )


def source_trials_of(tasks: Sequence[str], count: int = 20, seed: int = 0) -> list[Trial]:
    """Trials of other tasks, which rank alike."""
    rng = np.random.default_rng(seed)
    trials = []
    for task in tasks:
        chooser = RandomChooser(rng)
        for number in range(count):
            architecture = SPACE.suggest(chooser)
            value = value_of(architecture) + rng.normal(0, 0.01)
            curve = LearningCurve(METRIC, (1, 2), (value - 0.1, value))
            trials.append(Trial(task, architecture, curve, TrialState.COMPLETED, number, "tests"))
    return trials
