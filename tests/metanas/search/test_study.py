import threading
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError

from metanas.search import study as module
from metanas.search.study import Plan, new_study, open_study

PLAN = Plan("one", "cells", ("score",), "{}")


class Unsteady(optuna.storages.InMemoryStorage):
    """Every second look at a study's attributes finds the connection broken."""

    looks = 0

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        self.looks += 1
        if self.looks % 2:
            raise StorageInternalError("the connection is gone")
        return super().get_study_user_attrs(study_id)


def test_a_study_opens_although_the_connection_breaks_while_its_plan_is_read() -> None:
    storage = Unsteady()
    made, again = (open_study(storage, "s", PLAN) for _ in range(2))
    assert made.study_name == again.study_name == "s"
    assert storage.looks >= 4


class Taken(optuna.storages.InMemoryStorage):
    """Whenever someone has looked which names there are, another process takes the next."""

    looks = 0

    def get_all_studies(self) -> list[Any]:
        found = super().get_all_studies()
        self.looks += 1
        if self.looks <= 2:
            open_study(self, f"one-{self.looks}", PLAN)
        return found


def test_a_new_study_is_never_one_that_another_process_has_just_made() -> None:
    storage = Taken()
    assert new_study(storage, PLAN).study_name == "one-3"
    assert Plan.of(new_study(storage, PLAN)) == PLAN


class Slow(optuna.storages.InMemoryStorage):
    """Who makes a study tells its plan a moment later."""

    def __init__(self) -> None:
        super().__init__()
        self.made = threading.Event()
        self.looked = threading.Event()

    def create_new_study(self, *given: Any, **named: Any) -> int:
        found = super().create_new_study(*given, **named)
        self.made.set()
        assert self.looked.wait(10)
        return found


def test_a_study_that_another_process_is_making_keeps_that_ones_plan() -> None:
    storage = Slow()
    maker = threading.Thread(target=open_study, args=(storage, "s", PLAN))
    maker.start()
    assert storage.made.wait(10)
    threading.Timer(0.3, storage.looked.set).start()
    other = replace(PLAN, recipe='{"epochs": 50}')
    with pytest.raises(ValueError, match="recipe"):
        open_study(storage, "s", other)
    maker.join()
    assert Plan.of(optuna.load_study(study_name="s", storage=storage)) == PLAN


def test_a_study_whose_maker_was_killed_is_given_its_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAKER_WAIT", 0.2)
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="s", storage=storage, directions=PLAN.directions)
    assert Plan.of(open_study(storage, "s", PLAN)) == PLAN
