from typing import Any

import optuna
from optuna.exceptions import StorageInternalError

from metanas.search.study import Plan, open_study

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
