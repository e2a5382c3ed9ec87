"""Every command and every Python example in the README runs as it stands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metanas.cli import main
from metanas.evaluators import recipe

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def _a_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the README takes for granted: a folder of labelled images, in a user's home."""
    rng = np.random.default_rng(0)
    for label in ("daisy", "rose", "tulip"):
        for index in range(16):
            pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            file = tmp_path / "flowers" / label / f"{index}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    monkeypatch.setattr(recipe, "ENOUGH_STEPS", 40)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METANAS_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_nothing_in_the_readme_waits_to_be_filled_in() -> None:
    lines = README.read_text("utf-8").splitlines()
    assert [line for line in lines if re.fullmatch(r"[A-Z ]{3,}", line.strip())] == []


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(README.read_text("utf-8")) if name == language]


@pytest.mark.slow
@pytest.mark.usefixtures("_a_users_folder")
def test_the_readme_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        line
        for block in blocks("sh")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("metanas ")
    ]
    assert len(commands) >= 8
    for line in commands:
        words = shlex.split(line, comments=True)[1:]
        assert main(words) == 0, (line, capsys.readouterr().err)
    programs = blocks("python")
    assert programs
    for program in programs:
        shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
