import time

import optuna
import pytest

from metanas.search import watch
from metanas.search.owner import Owner
from metanas.search.study import BEAT, OWNER
from metanas.search.watch import Watch, beating
from tests.contracts.searches import study_in


@pytest.fixture
def study() -> optuna.Study:
    return study_in(optuna.storages.InMemoryStorage())


def lost(seen: Watch, study: optuna.Study) -> list[int]:
    return [each.number for each in seen.lost(study)]


def test_a_dead_process_is_found_at_once_and_a_living_one_is_left_alone(
    study: optuna.Study,
) -> None:
    study.ask().set_user_attr(OWNER, Owner(Owner.here().machine, 2**22 + 7, 1).text)
    study.ask().set_user_attr(OWNER, Owner.here().text)
    assert lost(Watch(), study) == [0]


def test_a_worker_elsewhere_is_gone_after_it_was_silent_for_long(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENCE", 0.2)
    trial = study.ask()
    trial.set_user_attr(OWNER, Owner("elsewhere", 1, 1).text)
    seen = Watch()
    for count in range(4):
        assert lost(seen, study) == []
        time.sleep(0.08)
        trial.set_user_attr(BEAT, count)
    assert lost(seen, study) == []
    trial.report(0.1, 1)
    time.sleep(0.15)
    assert lost(seen, study) == []
    time.sleep(0.25)
    assert lost(seen, study) == [0]


def test_a_trial_nobody_put_a_name_on_is_abandoned_after_a_while(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "NAMELESS", 0.1)
    study.ask()
    seen = Watch()
    assert lost(seen, study) == []
    time.sleep(0.15)
    assert lost(seen, study) == [0]


def test_a_worker_shows_that_it_is_there(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.02)
    trial = study.ask()
    with beating(study, trial):
        time.sleep(0.2)
    beats = study.trials[0].user_attrs[BEAT]
    assert beats >= 2
    time.sleep(0.1)
    assert study.trials[0].user_attrs[BEAT] == beats


def test_a_beat_for_a_trial_that_was_taken_over_does_no_harm(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.02)
    trial = study.ask()
    with beating(study, trial):
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        time.sleep(0.1)
    assert study.trials[0].state.name == "FAIL"
