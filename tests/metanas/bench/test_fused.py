from dataclasses import replace
from pathlib import Path

import pytest

from metanas.bench import fused

SMALL = replace(fused.TASK, data="digits#size=8&val=0.9&limit=200", input_shape=(1, 8, 8))


def test_a_line_a_group_with_both_speeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path))
    monkeypatch.setattr(fused, "TASK", SMALL)
    fused.main(["--networks", "2", "3", "--epochs", "2", "--device", "cpu"])
    _, *lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines] == [2, 3]
    for line in lines:
        _, alone, together, times = map(float, line.split())
        assert min(alone, together) > 0
        assert times == pytest.approx(together / alone, abs=0.02)


def test_an_epoch_is_the_mean_after_the_first() -> None:
    class Run:
        seconds = 0.0

        def __iter__(self):
            for took in (100.0, 1.0, 3.0):
                self.seconds += took
                yield took

    assert fused._epoch_seconds([Run(), Run()]) == 4.0  # type: ignore[list-item]


@pytest.mark.parametrize("wrong", [["--networks", "0"], ["--epochs", "1"], ["--device", "abacus"]])
def test_what_cannot_be_measured_is_told_in_a_line(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        fused.main(wrong)
    assert "error: need" in capsys.readouterr().err
