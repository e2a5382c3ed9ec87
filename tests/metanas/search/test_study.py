import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError

from metanas.search import study as module
from metanas.search.storage import open_storage
from metanas.search.study import Plan, new_study, open_study, study_names

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


def test_a_maker_that_tells_its_plan_too_late_shares_its_study_with_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAKER_WAIT", 0.2)
    storage = Slow()
    with ThreadPoolExecutor(1) as pool:
        maker = pool.submit(open_study, storage, "s", PLAN)
        assert storage.made.wait(10)
        try:
            with pytest.raises(ValueError, match="'s' was made by another program; choose"):
                open_study(storage, "s", replace(PLAN, recipe='{"epochs": 50}'))
        finally:
            storage.looked.set()
        assert Plan.of(maker.result(10)) == PLAN


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgresql_url"))


def test_in_a_database_others_wait_for_the_maker_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(module, "MAKER_WAIT", 0.2)
    with open_storage(url) as one, open_storage(url) as other, ThreadPoolExecutor(1) as pool:
        making = threading.Event()
        create, tell = one.create_new_study, one.set_study_user_attr

        def create_and_say_so(*given: Any) -> int:
            found = create(*given)
            making.set()
            return found

        def tell_late(*given: Any) -> None:
            time.sleep(1.0)
            tell(*given)

        monkeypatch.setattr(one, "create_new_study", create_and_say_so)
        monkeypatch.setattr(one, "set_study_user_attr", tell_late)
        maker = pool.submit(open_study, one, "s", PLAN)
        assert making.wait(10)
        with pytest.raises(ValueError, match=r"has recipe \{\} and cannot go on"):
            open_study(other, "s", replace(PLAN, recipe='{"epochs": 50}'))
        assert Plan.of(maker.result(10)) == PLAN
        assert Plan.of(open_study(other, "s", PLAN)) == PLAN


def test_of_two_that_make_a_study_at_once_one_does(url: str) -> None:
    begin = threading.Barrier(4)

    def opened(number: int) -> str:
        with open_storage(url) as storage:
            begin.wait(10)
            plan = replace(PLAN, recipe=str(number))
            try:
                return f"{Plan.of(open_study(storage, 's', plan)) == plan}"
            except ValueError:
                return "refused"

    with open_storage(url), ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(opened, range(4)))
    assert found == ["True", "refused", "refused", "refused"]


def test_a_maker_that_is_killed_leaves_no_study(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    def killed(*given: Any) -> None:
        raise KeyboardInterrupt

    with open_storage(url) as storage:
        with monkeypatch.context() as patched:
            patched.setattr(storage, "set_study_user_attr", killed)
            with pytest.raises(KeyboardInterrupt):
                open_study(storage, "s", PLAN)
        assert study_names(storage) == []
        assert Plan.of(open_study(storage, "s", PLAN)) == PLAN


@pytest.mark.parametrize("objectives", [("score",), ("-params",), ("score", "-params")])
def test_a_study_that_another_program_made_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, url: str, objectives: tuple[str, ...]
) -> None:
    monkeypatch.setattr(module, "MAKER_WAIT", 0.2)
    directions = replace(PLAN, objectives=objectives).directions
    with open_storage(url) as storage:
        others = optuna.create_study(study_name="s", storage=storage, directions=directions)
        with pytest.raises(ValueError, match="'s' was made by another program; choose another"):
            open_study(storage, "s", PLAN)
        assert others.user_attrs == {}
        others.enqueue_trial({"x": 1})
        monkeypatch.setattr(module, "MAKER_WAIT", 600)
        with pytest.raises(ValueError, match="'s' was made by another program; choose another"):
            open_study(storage, "s", PLAN)
