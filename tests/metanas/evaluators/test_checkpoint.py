"""One file, whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from metanas.evaluators import checkpoint


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.pt"
    checkpoint.write(path, {"values": [0.5, float("nan")], "module": {"w": torch.ones(2)}})
    state = checkpoint.read(path)
    assert state is not None
    assert state["values"][0] == 0.5
    assert torch.equal(state["module"]["w"], torch.ones(2))
    assert [each.name for each in path.parent.iterdir()] == ["run.pt"]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path / "run.pt") is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    checkpoint.write(path, {"values": [0.5]})
    with pytest.raises((AttributeError, TypeError)):
        checkpoint.write(path, {"values": [lambda: None]})
    assert checkpoint.read(path) == {"values": [0.5]}
    assert [each.name for each in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_not_to_be_replaced_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    path = tmp_path / "new" / "run.pt"
    checkpoint.write(path, {"values": [0.5]}, replace=False)
    with pytest.raises(FileExistsError):
        checkpoint.write(path, {"values": [0.6]}, replace=False)
    assert checkpoint.read(path) == {"values": [0.5]}
    assert [each.name for each in path.parent.iterdir()] == ["run.pt"]


def test_a_file_that_comes_while_another_is_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.pt"
    save = torch.save

    def raced(state: object, part: Path) -> None:
        save(state, part)
        save({"values": [0.5]}, path)

    monkeypatch.setattr(torch, "save", raced)
    with pytest.raises(FileExistsError):
        checkpoint.write(path, {"values": [0.6]}, replace=False)
    assert checkpoint.read(path) == {"values": [0.5]}
    assert [each.name for each in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"no checkpoint at all",
        b"hello",
        b"import os",
        b"g1\n",
        b"\x80\x02",
        b"d.",
    ],
)
def test_another_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.pt is no checkpoint; delete it"):
        checkpoint.read(path)


def test_a_truncated_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    checkpoint.write(path, {"module": {"w": torch.ones(1000)}})
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"run\.pt is no checkpoint"):
            checkpoint.read(path)


def test_a_file_of_no_mapping_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    torch.save([1.0], path)
    with pytest.raises(ValueError, match=r"run\.pt is no checkpoint.*need a mapping, got list"):
        checkpoint.read(path)


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    torch.save({"values": Path("anything")}, path)
    with pytest.raises(ValueError, match=r"run\.pt is no checkpoint"):
        checkpoint.read(path)
