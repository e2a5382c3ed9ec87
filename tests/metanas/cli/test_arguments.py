import os
from pathlib import Path

import pytest
import torch
from torch import nn

from metanas.cli.arguments import check_writable
from metanas.networks.export import export, part_of


@pytest.mark.parametrize("letter", ["a", "ы"])
def test_a_name_that_passes_can_be_written_and_a_longer_one_is_told(
    tmp_path: Path, letter: str
) -> None:
    room = 255 - len(f".{os.getpid()}.") - len(".pt2")
    longest = tmp_path / (letter * (room // len(letter.encode())) + ".pt2")
    check_writable(longest, part=part_of(longest))
    export(nn.Linear(2, 2), longest, (2,))
    assert torch.export.load(longest).module()(torch.zeros(3, 2)).shape == (3, 2)
    longer = longest.with_name(letter + longest.name)
    with pytest.raises(ValueError, match=r"need a file's name of \d+ bytes at most, got \d+"):
        check_writable(longer, part=part_of(longer))


def test_a_file_written_under_its_own_name_may_have_the_longest(tmp_path: Path) -> None:
    longest = tmp_path / ("a" * 250 + ".html")
    check_writable(longest)
    longest.write_text("there")
    with pytest.raises(ValueError, match="of 255 bytes at most, got 256"):
        check_writable(longest.with_name("a" + longest.name))


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (
            "a" * 300 + "/x.html",
            "a folder's name of 255 bytes at most, got 300: aaaaaaaaaaaaaaaaaaaa…",
        ),
        ("b/" + "ы" * 128 + "/c/x.html", "a folder's name of 255 bytes at most, got 256: ыыыыы"),
        ("a/" * 2100 + "x.html", "a path of 4095 bytes at most, got 4"),
    ],
)
def test_folders_that_no_path_can_have_are_told_briefly(
    tmp_path: Path, below: str, said: str
) -> None:
    with pytest.raises(ValueError, match=f"^need {said}") as raised:
        check_writable(tmp_path / below)
    assert len(str(raised.value)) < 100


def test_a_path_that_passes_can_be_written_and_a_longer_one_is_told(tmp_path: Path) -> None:
    folder = tmp_path
    while (room := 4094 - len(os.fsencode(folder))) > 250:
        folder /= "a" * min(200, room - 100)
        folder.mkdir()
    longest = folder / ("a" * (room - 4) + ".pt2")
    check_writable(longest)
    longest.touch()
    with pytest.raises(ValueError, match="a path of 4095 bytes at most, got 4096"):
        check_writable(longest.with_suffix(".html"))
    with pytest.raises(ValueError, match=r"a path of 40\d\d bytes at most, got 4095"):
        check_writable(longest, part=part_of(longest))
