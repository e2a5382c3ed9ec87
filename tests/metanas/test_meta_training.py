from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metanas.meta.meta_architecture import MetaArchitecture
from metanas.meta.plan import Plan
from metanas.meta.training import Point
from metanas.meta_training import identity_of, meta_train
from tests.contracts.drawings import drawn_classes

OPTIONS = {"width": 4, "stem": 4, "operations": "none,skip_connect,sep_conv_3x3"}
PLAN = Plan(
    ways=3, shots=1, queries=2, batch=2, iterations=4, every=2, validation_ways=3,
    validation_episodes=3,
)  # fmt: skip


def test_a_meta_training_killed_goes_on_from_its_file(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    train, other = drawn_classes(12, 6), drawn_classes(6, 6, seed=1)

    def run(path: Path, kill: bool) -> tuple[MetaArchitecture, list[int]]:
        told: list[int] = []

        def tell(point: Point, iterations: int) -> None:
            told.append(point.iteration)
            if kill:
                raise Killed

        made = meta_train(
            train, other, method="tnas", options=OPTIONS, plan=PLAN, path=path, told=tell
        )
        return made.meta, told

    with pytest.raises(Killed):
        run(tmp_path / "killed.pt", True)
    resumed, told = run(tmp_path / "killed.pt", False)
    whole, _ = run(tmp_path / "whole.pt", False)
    assert told == [2, 4]
    for name, value in whole.parameters.items():
        assert torch.equal(resumed.parameters[name], value)


@pytest.mark.parametrize("other", ["method", "options", "plan", "images", "turned", "validation"])
def test_a_file_of_another_meta_training_is_refused(other: str, tmp_path: Path) -> None:
    file = tmp_path / "training.pt"
    train, validation = drawn_classes(12, 6), drawn_classes(6, 6, seed=1)
    asked: dict[str, Any] = {"method": "tnas", "options": OPTIONS, "plan": PLAN, "path": file}
    meta_train(train, validation, **asked)
    changed: dict[str, dict[str, Any]] = {
        "method": {"method": "auto_maml"},
        "options": {"options": {**OPTIONS, "hard_from": 0.3}},
        "plan": {"plan": replace(PLAN, iterations=5)},
    }
    images = {"images": drawn_classes(12, 6, seed=2), "turned": replace(train, turned=True)}
    if other == "validation":
        validation = drawn_classes(6, 6, seed=2)
    with pytest.raises(ValueError, match=r"training\.pt is of another training"):
        meta_train(images.get(other, train), validation, **{**asked, **changed.get(other, {})})


def test_options_given_as_they_are_by_default_are_the_same_training() -> None:
    train, validation = drawn_classes(12, 6), drawn_classes(6, 6, seed=1)
    one, other = (
        identity_of(train, validation, method="tnas", options=options, plan=PLAN)
        for options in (OPTIONS, {**OPTIONS, "steps": 1})
    )
    assert one == other


def test_a_meta_training_has_a_record() -> None:
    train, other = drawn_classes(12, 6), drawn_classes(6, 6, seed=1)
    made = meta_train(train, other, method="tnas", options=OPTIONS, plan=PLAN)
    trial = made.trial("drawings", "tests", 0)
    assert len(trial.curve) == 2
    assert trial.score == pytest.approx(made.best.accuracy.value)
    assert trial.architecture == made.meta.architecture
    assert made.meta.facts["accuracy"] == made.best.accuracy.value
