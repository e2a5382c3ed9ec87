import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metadata_store.records import Task, TrialState
from metanas import few_shot
from metanas.evaluators.training import Lesson
from metanas.few_shot import Adapted, adapt, fitted
from metanas.meta.meta_architecture import MetaArchitecture
from metanas.networks.counts import count
from metanas.networks.export import export
from tasks.episodes import Classes
from tasks.load import Split, TaskData, prepare
from tests.contracts.drawings import drawn_classes

SHAPE = (1, 12, 12)
OPTIONS = {"width": 4, "stem": 4, "operations": "none,skip_connect,sep_conv_3x3"}
META = MetaArchitecture.fresh("tnas", OPTIONS, SHAPE, seed=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four classes of ten coloured drawings each."""
    drawings = drawn_classes(4, 10, side=18, channels=3)
    for index, (image, label) in enumerate(
        zip(drawings.images.numpy(), drawings.labels.tolist(), strict=True)
    ):
        file = tmp_path / "drawings" / f"class {label}" / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.moveaxis(image, 0, -1)).save(file)
    return tmp_path / "drawings"


def task(folder: Path) -> Task:
    return Task("drawings", "image_folder", str(folder), 0, None, (), None, {})


def data(folder: Path, meta: MetaArchitecture = META) -> TaskData:
    return prepare("image_folder", fitted(task(folder), meta).data, cache=folder.parent / "cache")


def adapted(folder: Path, **options: int) -> Adapted:
    return adapt(META, task(folder), data(folder), source="tests", **options)  # type: ignore[arg-type]


def test_images_are_brought_to_the_size_and_channels_of_the_meta_architecture(
    folder: Path,
) -> None:
    assert data(folder).shape == SHAPE
    asked = replace(task(folder), data=f"{folder}#size=20&val=0.5")
    assert fitted(asked, META).data.endswith("#grey=1&size=12&val=0.5")


def test_adapting_gives_a_network_a_trial_and_an_accuracy(folder: Path) -> None:
    made = adapted(folder)
    assert (made.shots, made.judged) == (8, 8)
    assert made.classes == tuple(f"class {i}" for i in range(4))
    trial = made.trial
    META.space.validate(trial.architecture)
    assert (trial.task, trial.source, trial.state) == ("drawings", "tests", TrialState.COMPLETED)
    assert trial.score == pytest.approx(made.accuracy)
    assert trial.extras["params"] == count(made.module, SHAPE).params
    assert math.isnan(made.test_accuracy)
    logits = made.module(torch.rand(3, *SHAPE))
    assert logits.shape == (3, 4)
    assert made.accuracy > 0.5  # even a random network tells such patterns apart


def test_the_rest_of_the_training_images_is_held_out(folder: Path) -> None:
    made = adapted(folder, shots=2)
    assert (made.shots, made.judged) == (2, 4 * 10 - 4 * 2)


def test_labels_made_wrong_on_purpose_judge_nothing(folder: Path) -> None:
    noisy = fitted(replace(task(folder), data=f"{folder}#noise=0.5"), META)
    prepared = prepare("image_folder", noisy.data, cache=folder.parent / "cache")
    made = adapt(META, noisy, prepared, source="tests", shots=1)
    assert made.judged == len(prepared.val) == 8


def test_the_same_seed_adapts_alike(folder: Path) -> None:
    one, again, other = (adapted(folder, shots=2, seed=seed) for seed in (1, 1, 2))
    x = torch.rand(2, *SHAPE)
    assert torch.equal(one.module(x), again.module(x))
    assert not torch.equal(one.module(x), other.module(x))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_seen_in_meta_training_are_counted_and_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture, channels: int
) -> None:
    fresh = MetaArchitecture.fresh("tnas", OPTIONS, (channels, 12, 12), seed=0)
    whole = Classes.of(data(folder, fresh))
    seen = frozenset(whole.only([0, 1]).marks)
    assert len(seen) == 20
    meta = replace(fresh, seen=seen)
    made = adapt(meta, task(folder), data(folder, meta), source="tests", shots=2)
    assert (made.seen, made.judged) == (20 - 4, 32)
    assert made.trial.extras["seen"] == 16.0
    assert "16 of 32 images held out were seen in meta-training" in caplog.text


def test_images_never_seen_are_no_cause_for_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = Classes.of(data(folder)).marks.keys()
    meta = replace(META, seen=frozenset(mark ^ 1 for mark in others))
    with caplog.at_level(logging.WARNING):
        made = adapt(meta, task(folder), data(folder), source="tests")
    assert (made.seen, made.trial.extras["seen"]) == (0, 0.0)
    assert caplog.text == ""


def test_without_a_test_part_nothing_is_told_of_one(folder: Path) -> None:
    meta = replace(META, seen=frozenset(Classes.of(data(folder)).marks))
    made = adapt(meta, task(folder), data(folder), source="tests")
    assert made.seen == made.judged
    assert made.test_seen is None
    assert not made.trial.extras.keys() & {"test_score", "test_seen"}


def test_test_images_seen_in_meta_training_are_counted_apart(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared = data(folder)
    kept = replace(prepared, test=prepared.val)
    kept = replace(kept, val=Split(prepared.val.images.flip(3), prepared.val.labels))
    shown = Classes(prepared.val.images, prepared.val.labels, prepared.classes)
    meta = replace(META, seen=frozenset(shown.marks))
    made = adapt(meta, task(folder), kept, source="tests")
    assert (made.seen, made.test_seen, made.trial.extras["test_seen"]) == (0, 8, 8.0)
    assert "8 of 8 test images were seen" in caplog.text


def test_a_meta_architecture_that_does_not_tell_what_it_has_seen_is_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = adapted(folder)
    assert made.seen is None
    assert "seen" not in made.trial.extras
    assert "does not tell if it has seen" in caplog.text


def test_training_may_go_on_from_the_adapted_weights(folder: Path) -> None:
    made = adapted(folder, epochs=2)
    assert made.trial.curve.epochs == (1, 2)
    assert (made.judged, made.learned) == (8, 32)
    assert not made.module.training


def test_training_after_adaptation_learns_from_no_more_than_the_shots_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    learn = Lesson.__init__

    def counted(self: Lesson, data: TaskData, *given: Any, **more: Any) -> None:
        seen.append(len(data.train))
        learn(self, data, *given, **more)

    monkeypatch.setattr(Lesson, "__init__", counted)
    made = adapted(folder, epochs=1, shots=2)
    assert seen == [8]
    assert (made.shots, made.learned, made.judged) == (2, 8, 4 * 10 - 8)


def test_the_network_is_exported_whole(folder: Path, tmp_path: Path) -> None:
    made = adapted(folder)
    export(made.module, tmp_path / "network.pt2", SHAPE)
    again = torch.export.load(tmp_path / "network.pt2").module()
    x = torch.rand(3, *SHAPE)
    torch.testing.assert_close(again(x), made.module(x))


def test_too_many_shots_are_told(folder: Path) -> None:
    with pytest.raises(ValueError, match="need 1 to 8 shots"):
        adapted(folder, shots=9)


def test_the_smallest_class_decides_how_many_and_is_named(folder: Path) -> None:
    assert adapted(folder).smallest is None
    for file in sorted((folder / "class 2").iterdir())[3:]:
        file.unlink()
    made = adapted(folder)
    assert (made.shots, made.smallest) == (2, "class 2")
    assert adapted(folder, shots=2).smallest is None


def test_many_classes_are_adapted_to_with_fewer_images_of_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, shots in ((15, 3), (2, 1)):
        monkeypatch.setattr(few_shot, "MOST_SUPPORT", most)
        made = adapted(folder)
        assert (made.shots, made.smallest) == (shots, None)
        assert made.judged == 4 * 10 - 4 * shots
    assert adapted(folder, shots=4).shots == 4


def test_grey_images_serve_where_colours_are_wanted(folder: Path) -> None:
    meta = MetaArchitecture.fresh("tnas", OPTIONS, (3, 12, 12), seed=0)
    made = adapt(meta, task(folder), data(folder), source="tests")
    assert made.module(torch.rand(1, 3, 12, 12)).shape == (1, 4)


def test_images_of_another_size_are_refused(folder: Path) -> None:
    meta = MetaArchitecture.fresh("tnas", OPTIONS, (1, 9, 9), seed=0)
    with pytest.raises(ValueError, match=r"shape \(1, 9, 9\)"):
        adapt(meta, task(folder), data(folder), source="tests")


def test_a_task_known_only_by_its_trials_has_no_images() -> None:
    with pytest.raises(ValueError, match="no images"):
        fitted(Task.table("t"), META)
