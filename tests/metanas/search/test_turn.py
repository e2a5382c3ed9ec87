import threading
import time

import optuna
import pytest

from metanas.search import turn
from metanas.search.owner import Owner
from metanas.search.study import ARCHITECTURE, LOST, OWNER
from metanas.search.turn import Turn
from tests.contracts.searches import study_in

AT_ONCE = turn.PATIENCE / 2


@pytest.fixture
def study() -> optuna.Study:
    return study_in(optuna.storages.InMemoryStorage())


def waited(seen: Turn, study: optuna.Study, number: int) -> float:
    """Seconds."""
    begin = time.monotonic()
    seen.wait(study, number)
    return time.monotonic() - begin


def test_a_trial_waits_until_those_before_it_have_said_what_they_run(study: optuna.Study) -> None:
    first, second, third = study.ask(), study.ask(), study.ask()
    said = threading.Timer(0.4, lambda: first.set_user_attr(ARCHITECTURE, "{}"))
    said.start()
    assert waited(Turn(), study, first.number) < AT_ONCE
    Turn().wait(study, second.number)
    assert ARCHITECTURE in study.trials[0].user_attrs
    said.join()
    second.set_user_attr(ARCHITECTURE, "{}")
    assert waited(Turn(), study, third.number) < AT_ONCE


def test_nobody_waits_for_what_is_known_or_gone(study: optuna.Study) -> None:
    study.enqueue_trial({"kind": "b"})
    study.ask()
    study.ask().set_user_attr(OWNER, Owner(Owner.here().machine, 2**22 + 7, 1).text)
    study.ask().set_user_attr(LOST, "gone")
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    assert waited(Turn(), study, study.ask().number) < AT_ONCE


def test_a_silent_trial_is_waited_for_once_and_not_for_long(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "PATIENCE", 1.0)
    study.ask().set_user_attr(OWNER, Owner("elsewhere", 1, 1).text)
    seen, trial = Turn(), study.ask()
    assert waited(seen, study, trial.number) > 1.0
    assert waited(seen, study, trial.number) < 1.0
