import math
from pathlib import Path

import pytest

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.assemble import (
    long_enough,
    make_evaluator,
    make_pruner,
    source_of,
    space_by_name,
)
from metanas.settings import NETWORK, Named, Option, SearchSettings, SettingsError, TrainSettings
from metanas.spaces.nasbench201 import NasBench201
from tests.contracts.ranker import source_trials


@pytest.mark.parametrize("option", ["load", "checkpoints"])
def test_what_takes_an_object_is_no_setting(option: str) -> None:
    with pytest.raises(SettingsError, match=f"has no option '{option}'"):
        make_evaluator(Named("scratch", {option: "x"}), NasBench201())


def test_the_pruner_has_the_searchs_seed() -> None:
    sources = Trials.of(source_trials())
    for options, seed in (({}, 7), ({"seed": 3}, 3)):
        settings = SearchSettings(budget=1, seed=7, pruner=Named("lcranknet", options))
        made = make_pruner(settings, NasBench201(), Task.table("new"), sources=sources)
        assert vars(made)["_seed"] == seed


def test_what_the_pruner_learns_is_kept_in_the_folder_given(tmp_path: Path) -> None:
    settings = SearchSettings(budget=1, pruner=Named("lcranknet"))
    made = make_pruner(
        settings, NasBench201(), Task.table("new"), sources=Trials.of([]), learned=tmp_path
    )
    assert vars(vars(made)["_make"](space=NasBench201()))["_folder"] == tmp_path


FEW = {"log_train": math.log(569)}


@pytest.mark.parametrize(
    ("evaluator", "features", "epochs"),
    [
        (Named("scratch"), FEW, 38),
        (Named("scratch", {"batch_size": 8}), FEW, 12),
        (Named("scratch", {"epochs": 3}), FEW, 3),
        (Named("scratch"), {}, None),
        *((Named("scratch"), {"log_train": no}, None) for no in (math.nan, math.inf, 1e6, -1.0)),
        (Named("recorded"), FEW, None),
    ],
)
def test_how_long_is_asked_of_the_task_where_nobody_says(
    evaluator: Named, features: dict[str, float], epochs: int | None
) -> None:
    task = Task("few", "sklearn", "digits", 712, 6, (3, 32, 32), None, features)
    made = long_enough(evaluator, NasBench201(), task)
    assert made == evaluator.but(epochs=epochs)


@pytest.mark.parametrize(
    ("space", "options", "source"),
    [
        (NETWORK, {}, "train:cells=1,width=16"),
        (NETWORK.but(width=4), {}, "train:cells=1,width=4"),
        (NETWORK.but(width=4, cells=5), {}, "train:cells=5,width=4"),
        (Named("nasbench201", {"cells": 1}), {}, "train:cells=1,width=16"),
        (NETWORK, {"epochs": 12, "batch_size": 64, "lr": 0.1}, "train:cells=1,width=16"),
        (NETWORK, {"epochs": 13, "device": "cpu"}, "train:cells=1,epochs=13,width=16"),
        (NETWORK, {"lr": "1e-1", "augment": "auto", "amp": False}, "train:cells=1,width=16"),
        (NETWORK, {"lr": "1e-2"}, "train:cells=1,lr=0.01,width=16"),
        (NETWORK, {"lr": 1}, "train:cells=1,lr=1.0,width=16"),
        (Named("darts"), {}, "train"),
        (Named("darts", {"width": 8, "layout": "nr"}), {}, "train:width=8"),
        (Named("darts", {"nodes": 3}), {}, "train:nodes=3"),
        (Named("darts", {"nodes": 2}), {}, "train"),
        (Named("darts-2"), {}, "train"),
    ],
)
def test_a_trainings_source_is_the_same_whatever_defaults_were_named(
    space: Named, options: dict[str, Option], source: str
) -> None:
    settings = TrainSettings(space, Named("scratch", options))
    made = space_by_name(space)
    assert source_of(settings, made, make_evaluator(settings.evaluator, made)) == source
