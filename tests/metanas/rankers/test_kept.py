import io
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Task
from metanas.rankers import kept as module
from metanas.rankers.kept import MOST, SUFFIX, name_of
from metanas.rankers.lcranknet import LCRankNet
from metanas.rankers.learning import Learned, Learner
from metanas.rankers.sources import Sources
from tests.contracts.ranker import SPACE, choices, run, source_trials

Quick = partial(LCRankNet, space=SPACE, folds=2, searches=1, steps=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rankers")
    Quick(folder=folder).fit(source_trials(), {})
    return folder


@pytest.fixture
def no_lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(learner: Learner, sources: Sources) -> Learned:
        raise AssertionError("learned anew")

    monkeypatch.setattr(Learner, "__call__", refuse)


def judged(ranker: LCRankNet) -> list[float]:
    """Chances and a threshold, of boosted trees, networks and ranks together."""
    live = ranker.live("new")
    for number, choice in enumerate(choices(6, 3)):
        trial = run("new", *choice)
        live.add(number, trial.architecture)
        live.extend(number, trial.curve.epochs[:4], trial.curve.values[:4])
        if number < 3:
            live.extend(number, trial.curve.epochs, trial.curve.values)
            live.finish(number)
    chances = [live.chance(number) for number in range(3, 6)]
    return [*(each for each in chances if each is not None), ranker.threshold(0.1)]


@pytest.mark.usefixtures("no_lessons")
def test_what_was_kept_judges_as_what_was_learned(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Quick(folder=folder).fit(source_trials(), {})
    monkeypatch.undo()
    learned = Quick().fit(source_trials(), {})
    assert len(judged(read)) == 4
    assert judged(read) == judged(learned)
    trials, task = [run("new", *choice) for choice in choices(3, 4)], Task.table("new")
    np.testing.assert_array_equal(read.scores(trials, task), learned.scores(trials, task))


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"outcome": "score"}, {"steps": 6}, {"factors": 3}, {"folds": 3}]
)
@pytest.mark.usefixtures("no_lessons")
def test_other_settings_are_learned_anew(folder: Path, other: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="learned anew"):
        Quick(folder=folder, **other).fit(source_trials(), {})


@pytest.mark.usefixtures("no_lessons")
def test_other_sources_are_learned_anew(folder: Path) -> None:
    with pytest.raises(AssertionError, match="learned anew"):
        Quick(folder=folder).fit(source_trials()[:-1], {})


def test_the_name_tells_ways_of_learning_apart() -> None:
    sources = Sources.of(Trials.of(source_trials()), SPACE, "final")
    assert sources is not None
    learner = Learner("final", 12, 2, 1, 5, 0)
    name = name_of(learner, sources)
    assert name == name_of(Learner("final", 12, 2, 1, 5, 0), sources)
    assert name != name_of(Learner("final", 12, 2, 1, 5, 1), sources)


@pytest.mark.parametrize("content", [b"", b"half a file", pickle.dumps([1])])
def test_a_damaged_file_is_told_once_and_replaced(
    folder: Path, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (whole,) = folder.glob(f"*{SUFFIX}")
    path = tmp_path / whole.name
    path.write_bytes(content)
    Quick(folder=tmp_path).fit(source_trials(), {})
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{path} is learned anew: the file is damaged"]
    assert module._read(path) is not None


def test_older_files_that_cannot_be_deleted_keep_nothing_from_being_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(module, "_own", refuse)
    Quick(folder=tmp_path).fit(source_trials(), {})
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"older files in {tmp_path} are not deleted: not permitted"]
    assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == 1


def test_a_file_that_would_call_something_else_is_not_obeyed(folder: Path, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "called",)

    (whole,) = folder.glob(f"*{SUFFIX}")
    path = tmp_path / whole.name
    content = pickle.dumps(Harmful())
    path.write_bytes(module._mark(content) + content)
    assert module._read(path) is None
    assert not (tmp_path / "called").exists()
    with pytest.raises(pickle.UnpicklingError, match="names"):
        module._Unpickler(io.BytesIO(content)).load()


def test_bytes_are_never_taken_for_objects() -> None:
    class Forged:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return np.ndarray, ((1,), np.dtype("O"), b"A" * 8)

    with pytest.raises(TypeError, match="not callable"):
        module._Unpickler(io.BytesIO(pickle.dumps(Forged(), protocol=5))).load()


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3).T[::2], np.array([None, "b"])])
def test_arrays_of_all_kinds_are_read(array: Any) -> None:
    content = pickle.dumps(array, protocol=5)
    np.testing.assert_array_equal(module._Unpickler(io.BytesIO(content)).load(), array)


@pytest.mark.parametrize("place", [0.001, 0.5, 0.999])
def test_a_file_damaged_anywhere_is_noticed(
    folder: Path, tmp_path: Path, place: float, caplog: pytest.LogCaptureFixture
) -> None:
    (whole,) = folder.glob(f"*{SUFFIX}")
    content = bytearray(whole.read_bytes())
    at = int(place * len(content))
    content[at : at + 64] = bytes(255 - each for each in content[at : at + 64])
    path = tmp_path / whole.name
    path.write_bytes(content)
    assert module._read(path) is None
    assert "damaged" in caplog.text


def test_another_users_file_is_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (whole,) = folder.glob(f"*{SUFFIX}")
    assert module._read(whole) is not None
    monkeypatch.setattr(module, "_me", lambda: os.geteuid() + 1)
    assert module._read(whole) is None
    assert "another user's" in caplog.text


@pytest.mark.usefixtures("no_lessons")
def test_where_nothing_can_be_written_what_is_there_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(module, "FileLock", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    Quick(folder=folder).fit(source_trials(), {})
    assert not caplog.text


def test_of_two_that_ask_at_once_one_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons = []
    learn = Learner.__call__

    def slowly(learner: Learner, sources: Sources) -> Learned:
        lessons.append(1)
        time.sleep(0.3)
        return learn(learner, sources)

    monkeypatch.setattr(Learner, "__call__", slowly)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: Quick(folder=tmp_path).fit(source_trials(), {}), range(2)))
    assert len(lessons) == 1


def test_a_folder_that_cannot_be_used_only_keeps_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    ranker = Quick(folder=tmp_path / "file" / "rankers").fit(source_trials(), {})
    assert ranker.prior is not None
    assert "not kept" in caplog.text


def test_the_longest_unused_files_are_deleted(tmp_path: Path) -> None:
    for number in range(MOST):
        path = tmp_path / f"{number}{SUFFIX}"
        path.touch()
        path.with_suffix(".lock").touch()
    old = tmp_path / f"0{SUFFIX}"
    part = tmp_path / "killed.part"
    part.touch()
    for each in (old, old.with_suffix(".lock"), part):
        os.utime(each, (1, 1))
    Quick(folder=tmp_path).fit(source_trials(), {})
    assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == MOST
    assert not old.exists()
    assert not old.with_suffix(".lock").exists()
    assert not part.exists()
    assert (tmp_path / "1.lock").exists()
