import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.distribute import job as module
from metanas.distribute.job import Job, prepare
from metanas.evaluators import recipe
from metanas.rankers.lcranknet import LCRankNet
from metanas.settings import Named, Option, SearchSettings
from metanas.warm_start import result


def store_with_a_task(**features: float) -> MemoryStore:
    store = MemoryStore()
    store.add_task(
        Task("mine", "synthetic", "gratings#n=60&size=8&ways=3", 60, 3, (1, 8, 8), 0.5, features)
    )
    return store


def test_stopped_runs_of_others_are_scores_for_the_sampler_and_parts_for_the_pruner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_with_a_task()
    store.add_trials(
        Trial(
            "other",
            _cell(number),
            LearningCurve("val_accuracy", (1, 2), (0.2, 0.3)),
            TrialState.STOPPED if number % 2 else TrialState.COMPLETED,
            0,
            "search:earlier",
        )
        for number in range(8)
    )
    seen: dict[str, Any] = {}

    def spied(name: str) -> Any:
        real = getattr(module, name)

        def made(*given: Any, sources: Any, **more: Any) -> Any:
            seen[name] = sources
            return real(*given, sources=sources, **more)

        return made

    for name in ("make_sampler", "make_pruner"):
        monkeypatch.setattr(module, name, spied(name))
    settings = SearchSettings(space=Named("nasbench201", {"width": 4, "cells": 1}), budget=1)
    job = Job(settings, "mine", "study", "memory://", tmp_path)
    prepare(job, store, optuna.storages.InMemoryStorage())
    assert seen["make_sampler"].completed.all()
    assert sorted(seen["make_pruner"].stopped) == [False] * 4 + [True] * 4


@pytest.mark.parametrize(
    ("more", "sampler", "pruner"),
    [
        ({}, "xfernas", "lcranknet"),
        ({"objective": ("score", "-params")}, "tpe", "none"),
        ({"sampler": Named("random"), "pruner": Named("median")}, "random", "median"),
    ],
)
def test_the_settings_shown_name_what_the_defaults_are(
    tmp_path: Path, more: dict[str, Any], sampler: str, pruner: str
) -> None:
    store = store_with_a_task()
    job = Job(SearchSettings(budget=1, **more), "mine", "study", "memory://", tmp_path)
    shown = result(prepare(job, store, optuna.storages.InMemoryStorage()).study).settings
    assert (shown["sampler"], shown["pruner"]) == (sampler, pruner)


@pytest.mark.parametrize(
    ("tasks", "runs", "rise", "learned"),
    [
        (2, 8, 0.1, True),
        (2, 7, 0.1, False),  # too few finished runs
        (1, 8, 0.1, False),  # one task does not tell how tasks differ
        (2, 8, 0.0, False),  # all the same
    ],
)
def test_the_pruner_learned_only_where_its_ranker_did(
    tmp_path: Path, tasks: int, runs: int, rise: float, learned: bool
) -> None:
    store = store_with_a_task()
    store.add_trials(
        Trial(
            f"other-{task}",
            _cell(number),
            LearningCurve("val_accuracy", (1, 2), (0.2, 0.2 + rise * number)),
            TrialState.COMPLETED,
            0,
            "search:earlier",
        )
        for task in range(tasks)
        for number in range(runs)
    )
    settings = SearchSettings(
        space=Named("nasbench201", {"width": 4, "cells": 1}),
        sampler=Named("random"),
        pruner=Named("lcranknet"),
        budget=1,
        priors=0,
    )
    job = Job(settings, "mine", "study", "memory://", tmp_path)
    found = prepare(job, store, optuna.storages.InMemoryStorage())
    assert result(found.study).learned == (("pruner",) if learned else ())
    ranker = LCRankNet(space=found.space, outcome="score", steps=1)
    assert (ranker.fit(list(store.batch()), {}).prior is not None) == learned


def test_a_study_keeps_its_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, storage = store_with_a_task(log_train=math.log(48)), optuna.storages.InMemoryStorage()

    def epochs(study: str, **options: int) -> Option:
        space = Named("nasbench201", {"width": 4, "cells": 1})
        asked = SearchSettings(space=space, budget=1, evaluator=Named("scratch", options))
        made = prepare(Job(asked, "mine", study, "memory://", tmp_path), store, storage)
        return made.job.settings.evaluator.options.get("epochs")

    assert epochs("spring") == 100
    monkeypatch.setattr(recipe, "ENOUGH_STEPS", 300)
    assert (epochs("spring"), epochs("autumn")) == (100, 50)
    with pytest.raises(ValueError, match="has recipe"):
        epochs("spring", epochs=12)


def test_a_study_of_before_epochs_were_told_goes_on_with_twelve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, storage = store_with_a_task(log_train=math.log(48)), optuna.storages.InMemoryStorage()
    job = Job(SearchSettings(budget=1), "mine", "old", "memory://", tmp_path)
    with monkeypatch.context() as before:
        before.setattr(module, "_with_epochs", lambda job, *more: job.settings)
        prepare(job, store, storage)
    for options in ({}, {"epochs": 12}):
        again = replace(job.settings, evaluator=Named("scratch", options))
        made = prepare(replace(job, settings=again), store, storage)
        assert "epochs" not in made.job.settings.evaluator.options
    longer = replace(job.settings, evaluator=Named("scratch", {"epochs": 13}))
    with pytest.raises(ValueError, match="has recipe"):
        prepare(replace(job, settings=longer), store, storage)


def _cell(number: int) -> Architecture:
    from metanas.spaces.nasbench201 import NasBench201

    ops = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    first, second = ops[number % 4], ops[number // 4]
    return NasBench201().parse(
        f"|{first}~0|+|{second}~0|nor_conv_3x3~1|+|none~0|skip_connect~1|nor_conv_3x3~2|"
    )
