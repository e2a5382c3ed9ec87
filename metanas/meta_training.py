"""Meta-training to its end: from many classes a meta-architecture, killed and taken up again.

[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from metadata_store.records import LearningCurve, Trial, TrialState
from metanas.evaluators import checkpoint
from metanas.meta.identity import identity
from metanas.meta.learner import MetaLearner
from metanas.meta.meta_architecture import MetaArchitecture, Option
from metanas.meta.plan import Plan
from metanas.meta.training import MetaTraining, Point, most_ways
from tasks.episodes import Classes

EPISODE_METRIC = "episode_accuracy"

Told = Callable[[Point, int], object]
"""Called with each point of a meta-training and the iterations in all."""


@dataclass(frozen=True)
class MetaTrained:
    """A finished meta-training.

    Attributes:
        meta: of the point with the highest validation accuracy.
        points: all of them.
        seconds: spent, earlier runs included.
    """

    meta: MetaArchitecture
    points: tuple[Point, ...]
    seconds: float

    @property
    def best(self) -> Point:
        """The point that was kept: the last of the most accurate."""
        return max(self.points, key=lambda point: (point.accuracy.value, point.iteration))

    def trial(self, task: str, source: str, seed: int) -> Trial:
        """Its record, for tracking: the architecture is the one before any adaptation."""
        values = tuple(point.accuracy.value for point in self.points)
        return Trial(
            task=task,
            architecture=self.meta.architecture,
            curve=LearningCurve(EPISODE_METRIC, tuple(range(1, len(values) + 1)), values),
            state=TrialState.COMPLETED,
            seed=seed,
            source=source,
            seconds=self.seconds,
            extras={
                "params": float(self.meta.size),
                "iterations": float(self.points[-1].iteration),
                "ci95": self.best.accuracy.ci95,
                "loss": self.points[-1].loss,
                "free_share": self.points[-1].free_share,
            },
        )


def meta_train(
    train: Classes,
    validation: Classes,
    *,
    method: str,
    options: Mapping[str, Option],
    plan: Plan,
    path: Path | None = None,
    told: Told = lambda point, iterations: None,
) -> MetaTrained:
    """Meta-trains to the end, or goes on from the file at `path`.

    Args:
        method: with an architecture, see `metanas.meta.meta_architecture`.
        plan: with fewer ways where there are fewer classes.
        path: of a file, see `carried_out`.

    Raises:
        ValueError: an unknown method or option, too few classes or images, or a file of
            another training.
        FloatingPointError: it diverged.
    """
    first, plan = _planned(train, method, options, plan)
    training = carried_out(
        first.learner, first.described, train, validation, plan, path=path, told=told
    )
    best = max(point.accuracy.value for point in training.points)
    facts: dict[str, Option] = {
        "ways": plan.validation_ways,
        "shots": plan.validation_shots,
        "classes": len(train),
        "iterations": training.iteration,
        "batch": plan.batch,
        "train_ways": plan.ways,
        "accuracy": best,
        "seconds": training.seconds,
        "digest": identity(first.described, plan, train, validation),
    }
    seen = frozenset({*train.marks, *validation.marks})
    meta = replace(first, parameters=training.best, facts=facts, seen=seen)
    return MetaTrained(meta, tuple(training.points), training.seconds)


def identity_of(
    train: Classes, validation: Classes, *, method: str, options: Mapping[str, Option], plan: Plan
) -> str:
    """Of what `meta_train` does when asked alike; the fact ``digest`` of what it makes.

    Raises:
        ValueError: an unknown method or option.
    """
    first, plan = _planned(train, method, options, plan)
    return identity(first.described, plan, train, validation)


def carried_out(
    learner: MetaLearner,
    method: str,
    train: Classes,
    validation: Classes,
    plan: Plan,
    *,
    path: Path | None = None,
    told: Told = lambda point, iterations: None,
) -> MetaTraining:
    """A meta-training at its end.

    Args:
        method: what the learner is, see `metanas.meta.identity`.
        path: of a file rewritten after every point; the same training again goes on from it.

    Raises:
        ValueError: too few classes or images, or a file of another training.
        FloatingPointError: it diverged.
    """
    digest = identity(method, plan, train, validation)
    state = checkpoint.read(path) if path is not None else None
    if state is not None and state.get("identity") != digest:
        raise ValueError(f"{path} is of another training; delete it, or give another file")
    training = MetaTraining(learner, train, validation, plan, state=state)
    for point in training:
        if path is not None:
            checkpoint.write(path, {**training.state(), "identity": digest})
        told(point, plan.iterations)
    return training


def _planned(
    train: Classes, method: str, options: Mapping[str, Option], plan: Plan
) -> tuple[MetaArchitecture, Plan]:
    """Where meta-training starts, and the plan that these classes allow."""
    first = MetaArchitecture.fresh(method, options, train.shape, seed=plan.seed)
    return first, replace(plan, ways=min(plan.ways, most_ways(first.learner, train)))
