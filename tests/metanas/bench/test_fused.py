from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metanas.bench import fused
from metanas.evaluators.training import Lesson
from metanas.experience import draw
from metanas.settings import ExperienceSettings, Named, TaskSettings
from metanas.spaces.nasbench201 import NasBench201

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


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said of a measurement of two networks that is refused."""
    with pytest.raises(SystemExit, match="2"):
        fused.main(["--networks", "2", "--epochs", "2", "--device", "cpu"])
    return capsys.readouterr().err.splitlines()[-1]


def test_what_goes_wrong_on_the_way_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fused, "TASK", SMALL)
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}" in told(capsys)
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    train = Lesson.train
    with monkeypatch.context() as patch:
        patch.setattr(Lesson, "train", lambda *given: train(*given) * float("nan"))
        assert told(capsys).endswith(
            "error: a network diverged in its first epoch: nothing to time"
        )

    def full(*given: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of\nmemory")

    monkeypatch.setattr(Lesson, "train", full)
    assert told(capsys).endswith("error: no memory for 2 networks at once: out of memory")


def test_the_cells_are_those_a_build_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def noted(self: object, cells: list[object], *given: object, **more: object) -> None:
        drawn.extend(cells)
        raise KeyboardInterrupt

    monkeypatch.setattr(fused.Fused, "run", noted)
    with pytest.raises(KeyboardInterrupt):
        fused.measure(300, device="cpu", seed=3)
    settings = ExperienceSettings(
        (TaskSettings("a", "b"),), "tests", 300, space=Named("nasbench201"), seed=3
    )
    assert drawn == draw(NasBench201(), settings)
