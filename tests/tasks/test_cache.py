from __future__ import annotations

import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks import cache
from tasks.load import prepare


def _sum(folder: Path) -> int:
    data = prepare("synthetic", "gratings#n=60&ways=3", cache=folder)
    return int(data.train.images.long().sum())


def test_what_is_written_is_read_back_mapped(tmp_path: Path) -> None:
    cache.write(tmp_path / "a", {"x": np.arange(4)}, {"n": 4})
    found = cache.read(tmp_path / "a")
    assert found is not None
    arrays, about = found
    assert isinstance(arrays["x"], np.memmap)
    assert arrays["x"].tolist() == [0, 1, 2, 3]
    assert about == {"n": 4}


def test_nothing_written_is_nothing_read(tmp_path: Path) -> None:
    assert cache.read(tmp_path / "a") is None


def test_changes_to_what_was_read_stay_in_memory(tmp_path: Path) -> None:
    data = prepare("synthetic", "gratings", cache=tmp_path)
    before = data.train.images.clone()
    data.train.images.zero_()
    again = prepare("synthetic", "gratings", cache=tmp_path)
    assert torch.equal(again.train.images, before)


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), cache.appearing(tmp_path / "a") as scratch:  # noqa: PT012
        (scratch / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    with cache.appearing(tmp_path / "a") as late:
        (late / "late").touch()
        cache.write(tmp_path / "a", {"x": np.arange(2)}, {})
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["about.json", "x.npy"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_damaged_file_says_what_to_delete(tmp_path: Path) -> None:
    cache.write(tmp_path / "a", {"x": np.arange(4)}, {})
    (tmp_path / "a" / "x.npy").write_bytes(b"")
    with pytest.raises(OSError, match="cannot read the cached images, delete"):
        cache.read(tmp_path / "a")


@pytest.mark.parametrize("name", ["x.npy", "y.npy", "about.json"])
def test_a_removed_file_says_what_to_delete(tmp_path: Path, name: str) -> None:
    cache.write(tmp_path / "a", {"x": np.arange(4), "y": np.arange(4)}, {})
    (tmp_path / "a" / name).unlink()
    with pytest.raises(OSError, match=rf"cannot read the cached images, delete .*{name}"):
        cache.read(tmp_path / "a")


def test_a_folder_that_does_not_list_its_arrays_says_so(tmp_path: Path) -> None:
    cache.write(tmp_path / "a", {"x": np.arange(4)}, {})
    (tmp_path / "a" / "about.json").write_text("{}")
    with pytest.raises(OSError, match=r"delete .*'arrays'"):
        cache.read(tmp_path / "a")


def test_the_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METANAS_CACHE", "/somewhere")
    assert cache.default_folder() == Path("/somewhere")
    monkeypatch.delenv("METANAS_CACHE")
    assert cache.default_folder().name == "tasks"


@pytest.mark.slow
def test_processes_that_prepare_the_same_task_agree(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        sums = list(pool.map(_sum, [tmp_path] * 4))
    assert len(set(sums)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_cache_may_be_shared(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        cache.write(tmp_path / "a", {"x": np.arange(4)}, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o750
