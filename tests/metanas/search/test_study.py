from typing import Any

import optuna
from optuna.exceptions import StorageInternalError

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
    assert storage.looks == 4


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
