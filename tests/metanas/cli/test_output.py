"""How far a command is, told on a terminal and elsewhere."""

import re
from argparse import Namespace

import pytest

from metadata_store.records import LearningCurve
from metanas.cli.output import progress
from metanas.cli.train import rows_of


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("length", "rows"), [(1, 1), (12, 12), (20, 20), (38, 21), (200, 22)])
def test_of_a_long_curve_some_epochs_are_printed(length: int, rows: int) -> None:
    values = [0.5] * length
    values[length // 3] = 0.75  # neither first nor last, nor among the even ones
    curve = LearningCurve("accuracy", tuple(range(1, length + 1)), tuple(values))
    shown = rows_of(curve)
    assert len(shown) == rows
    assert shown == sorted(shown)
    whole = set(zip(curve.epochs, curve.values, strict=True))
    assert {(1, values[0]), (length // 3 + 1, 0.75), (length, values[-1])} <= set(shown) <= whole


def test_without_a_terminal_a_line_a_minute_tells_how_long_it_will_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with progress(Namespace(), clock=clock) as advance:
        advance(0, 1, "registering t")
        clock.now += 30
        advance(1000, 2000, "training")
        for done in (1064, 1128):
            clock.now += 300
            advance(done, 2000, "t 0.5")
            clock.now += 59
            advance(done, 2000, "t 0.5")
    out, err = capsys.readouterr()
    assert out == ""
    # What was done before took none of this run's time.
    assert err.splitlines() == [
        f"metanas: 1,064/2,000 t 0.5, {_span((2000 - 1064) * 300 / 64)} left",
        f"metanas: 1,128/2,000 t 0.5, {_span((2000 - 1128) * 659 / 128)} left",
    ]


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def test_what_takes_less_than_a_minute_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress(Namespace(), clock=clock) as advance:
        for done in range(60):
            advance(done, 60, "soon")
            clock.now += 1
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_time_left_falls_between_two_steps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    clock = Clock()
    with progress(Namespace(), clock=clock) as advance:
        advance(500, 2000, "training")
        clock.now += 300
        advance(600, 2000, "t 0.5")
        clock.now += 100
    _, err = capsys.readouterr()
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", err).rstrip().splitlines()[-1]
    assert "600/2000" in last
    # 1,400 steps of 3 s, 100 s of which are over.
    assert last.rstrip().endswith("1:08:20")
    assert "metanas:" not in err


def test_where_the_same_step_is_told_again_and_again_the_time_left_falls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with progress(Namespace(), clock=clock) as advance:
        advance(0, 20, "best -")
        for second in range(1, 2 * 3600):
            clock.now += 1
            advance(second // 3600, 20, "best 0.9, 1 running")
    lines = capsys.readouterr().err.splitlines()
    assert {line for line in lines if " 0/20 " in line} == {
        "metanas: 0/20 best 0.9, 1 running, -:--:-- left"
    }
    said = [line.rsplit(", ", 1)[1] for line in lines if " 1/20 " in line]
    # 19 steps of an hour, of which the minutes since the first step's end are over.
    assert said == [f"{_span(19 * 3600 - minute * 60)} left" for minute in range(60)]
