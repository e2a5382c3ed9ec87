import os
import signal
import time
from pathlib import Path

import pytest

from metanas.distribute.spread import Processes, WorkerDied, spread_over
from metanas.settings import SettingsError


def _squared(number: int) -> int:
    if number < 0:
        raise ValueError(f"need a number of at least 0, got {number}")
    return number * number


def _gone(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def _noted(place: tuple[Path, int]) -> int:
    folder, number = place
    (folder / str(number)).touch()
    if number:
        time.sleep(0.2)
    return number


def test_every_job_gives_its_result_once() -> None:
    assert sorted(Processes(2)(_squared, range(7))) == [0, 1, 4, 9, 16, 25, 36]
    assert list(Processes(2)(_squared, [])) == []


def test_jobs_are_not_begun_long_before_they_are_asked_for(tmp_path: Path) -> None:
    results = Processes(1)(_noted, ((tmp_path, i) for i in range(50)))
    assert next(results) == 0
    results.close()
    assert len(list(tmp_path.iterdir())) <= 4


def _slow(number: int) -> int:
    if number:
        time.sleep(60)
    return number


def test_what_runs_is_ended_when_no_more_is_wanted() -> None:
    results = Processes(1)(_slow, [0, 1, 2])
    assert next(results) == 0
    begin = time.monotonic()
    results.close()
    assert time.monotonic() - begin < 20.0


def test_an_error_of_a_job_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="need a number of at least 0, got -1"):
        list(Processes(1)(_squared, [-1]))


def test_a_killed_process_is_told_in_one_line() -> None:
    with pytest.raises(WorkerDied, match="start again to go on"):
        list(Processes(1)(_gone, [1]))


def test_a_place_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(SettingsError, match="unknown executor 'rai'; did you mean 'ray'"):
        spread_over("rai", None, 1)
    with pytest.raises(SettingsError, match="executor 'local' has no address"):
        spread_over("local", "auto", 1)
