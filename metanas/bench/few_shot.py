"""How well do methods learn new classes from a few images? All on the same episodes.

Each method is meta-trained on the classes of `train` for as many meta-batches, of as many
images, within the same time, and judged on episodes of classes it has never seen. Methods that
take any number of ways meet the very same episodes in training as well; so do all others once
they are given a head of prototypes like T-NAS's. They then see images centred as T-NAS does,
too: the comparison to look at to see what the architecture does. Both are told with the
results. A control shares the training of the method it controls:

``tnas_unadapted``: T-NAS whose architecture stays that of meta-training.
``random_architecture``: a cell drawn at random, meta-trained as T-NAS is.
``support_search``: architecture and weights from nothing, on the support alone.
``learn2learn_maml``: MAML of the library learn2learn, where that is installed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from metanas.bench.few_shot_contenders import (
    ALL,
    EXPENSE,
    HEADS,
    LEARN2LEARN,
    OWN_HEAD,
    PROTOTYPES,
    RANDOM,
    SUPPORT,
    TNAS,
    UNADAPTED,
    Contender,
    Progress,
    Trainer,
    head_of,
    known,
)
from metanas.meta.batch import Batch, batch_of
from metanas.meta.gradient import GradientLearner
from metanas.meta.interval import mean_of
from metanas.meta.learn2learn import library
from metanas.meta.meta_architecture import MetaArchitecture
from metanas.meta.plan import Plan
from tasks.episodes import Classes, check_disjoint, check_unseen, draw

COMPARED = (TNAS, UNADAPTED, RANDOM, SUPPORT, "maml", "maml_plus_plus", "protonet", "fine_tuning")
"""What is compared by default."""

TEST_SEED = 2**31 - 3
AT_ONCE = 10
VALIDATION_SHARE = 0.15

log = logging.getLogger(__name__)


def bench_few_shot(
    train: Classes,
    test: Classes,
    *,
    ways: int,
    shots: int,
    episodes: int,
    plan: Plan,
    methods: Sequence[str] = COMPARED,
    head: str = OWN_HEAD,
    meta: MetaArchitecture | None = None,
    seeds: int = 1,
    checkpoints: Path | None = None,
    progress: Progress = lambda done, total, what: None,
) -> dict[str, Any]:
    """Compares methods on the same test episodes.

    Args:
        train: classes to meta-train on; a part of them is kept to choose when to stop.
        test: classes to judge by.
        plan: of meta-training; methods with a learned head train with `ways` instead, on as
            many images a step.
        head: one of `HEADS`: each method's own, or prototypes and centred images for all.
        meta: judged as T-NAS in place of one trained here; warned of where it does not say
            what it has seen.
        seeds: of training, from the plan's on.
        checkpoints: folder for one file a training, to go on from.
        progress: called with trainings or batches of episodes done.

    Returns:
        ``methods``: by name ``accuracy``, ``ci95``, ``adapt_seconds`` (a task), ``params``,
        ``train_seconds``, ``meta_batches``, ``tasks_each`` of ``ways``, ``head``. ``paired``:
        by pair ``first - second`` the mean ``difference`` on the same episodes and its
        ``ci95``. With several seeds all are means over them, intervals those of the episodes,
        and ``per_seed`` has as much of each.

    Raises:
        ModuleNotFoundError: learn2learn is asked for and not installed.
        ValueError: an unknown method, a class in both sets or seen by `meta`, too few classes or
            images.
    """
    for name in methods:
        if name not in ALL:
            raise ValueError(f"unknown method {name!r}; there are {', '.join(ALL)}")
    if head not in HEADS:
        raise ValueError(f"a head is one of {', '.join(HEADS)}, got {head!r}")
    if episodes < 1 or seeds < 1 or not methods:
        raise ValueError(
            f"need a method, an episode and a seed, got {len(methods)}, {episodes} and {seeds}"
        )
    check_disjoint(train, test)
    if meta is not None:
        if not {TNAS, UNADAPTED} & set(methods):
            raise ValueError(
                f"a meta-architecture is judged as {TNAS} or {UNADAPTED}, got {', '.join(methods)}"
            )
        if not meta.seen:
            log.warning("the meta-architecture's file does not tell if it has seen test classes")
        check_unseen(meta.seen, test)
    fewest = min(len(rows) for rows in test.rows)
    queries = max(1, min(15, fewest - shots))
    test.check(ways, shots, queries)
    shares = [max(VALIDATION_SHARE, ways / len(train.names))]
    if 2 * ways > len(train.names):
        raise ValueError(
            f"need at least {2 * ways} classes to train with {ways} ways, got {len(train.names)}"
        )
    if LEARN2LEARN in methods:
        library()  # before anything is trained
    judged = partial(
        _judged, test=test, ways=ways, shots=shots, queries=queries, episodes=episodes,
        progress=progress,
    )  # fmt: skip
    runs: list[tuple[Accuracies, Rows]] = []
    for seed in range(plan.seed, plan.seed + seeds):
        learned, validation = train.split(shares, seed=seed)
        trainer = Trainer(
            learned,
            replace(validation, turned=False),
            ways,
            shots,
            replace(plan, seed=seed),
            head == PROTOTYPES,
            checkpoints,
            progress,
        )
        found: Accuracies = {}
        rows: Rows = {}
        for name in dict.fromkeys(methods):
            given = meta if name in (TNAS, UNADAPTED) else None
            if given is not None and runs:  # the same whatever the seed of training
                found[name], rows[name] = runs[0][0][name], runs[0][1][name]
                continue
            contender = trainer.contender(name) if given is None else known(given)
            found[name], seconds = judged(_judge_of(name, contender), name)
            rows[name] = {
                "adapt_seconds": seconds,
                "params": contender.params,
                "train_seconds": contender.seconds,
                **dict(zip(EXPENSE, contender.expense, strict=True)),
                "head": head_of(name, head),
            }
        runs.append((found, rows))
    asked = {"ways": ways, "shots": shots, "episodes": episodes, "test_classes": len(test)}
    per_seed = [{**_compared(found, rows), **asked} for found, rows in runs]
    if seeds == 1:
        return per_seed[0]
    return {**_compared(*_averaged(runs)), **asked, "per_seed": per_seed}


Accuracies = dict[str, Tensor]
"""By method, one an episode; shape (episodes,)."""

Rows = dict[str, dict[str, Any]]
"""By method, its expense."""


def _averaged(runs: Sequence[tuple[Accuracies, Rows]]) -> tuple[Accuracies, Rows]:
    """Over seeds, episode by episode: the episodes are the same, so they are no more for it."""
    names = list(runs[0][0])
    found = {name: torch.stack([each[name] for each, _ in runs]).mean(0) for name in names}
    rows = {
        name: {
            column: value
            if all(row[name][column] == value for _, row in runs)
            else fmean(row[name][column] for _, row in runs)
            for column, value in runs[0][1][name].items()
        }
        for name in names
    }
    return found, rows


def _compared(found: Accuracies, rows: Rows) -> dict[str, Any]:
    methods = {}
    for name, accuracy in found.items():
        mean = mean_of(accuracy)
        methods[name] = {"accuracy": mean.value, "ci95": mean.ci95, **rows[name]}
    return {"methods": methods, "paired": _paired(found)}


Judge = Callable[[Batch], Tensor]


def _judge_of(name: str, contender: Contender) -> Judge:
    learner, parameters = contender.learner, contender.parameters
    if name == UNADAPTED and isinstance(learner, GradientLearner):
        return lambda batch: learner.logits(parameters, batch, adapt_architecture=False)
    return lambda batch: learner.logits(parameters, batch)


def _judged(
    judge: Judge,
    name: str,
    *,
    test: Classes,
    ways: int,
    shots: int,
    queries: int,
    episodes: int,
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
