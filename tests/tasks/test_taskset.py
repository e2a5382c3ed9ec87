import importlib.util

import pytest
import torch

from tasks.episodes import draw
from tasks.taskset import Turned, meta_dataset, taskset
from tests.contracts.drawings import drawn_classes

ABSENT = importlib.util.find_spec("learn2learn") is None
WITH = pytest.mark.skipif(ABSENT, reason="learn2learn comes with the extra few-shot")
ASKED = {"ways": 4, "shots": 2, "queries": 3, "seed": 7}


@WITH
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("turned", [True, False])
def test_the_librarys_tasks_are_our_episodes(turned: bool) -> None:
    classes = drawn_classes(6, 6, turned=turned)
    made = taskset(classes, episodes=5, **ASKED)
    assert len(made) == 5
    for number in (3, 0, 3):
        images, labels = made[number]
        ours = draw(classes, [number], **ASKED)
        wanted = torch.cat(
            [ours.support[0].unflatten(0, (4, 2)), ours.query[0].unflatten(0, (4, 3))], dim=1
        )
        torch.testing.assert_close(images, wanted.flatten(0, 1).float() / 255)
        assert labels.tolist() == torch.arange(4).repeat_interleave(5).tolist()


@WITH
@pytest.mark.filterwarnings("ignore")
def test_the_librarys_own_transforms_draw_from_our_classes() -> None:
    from learn2learn.data import Taskset
    from learn2learn.data.transforms import KShots, LoadData, NWays, RemapLabels

    classes = drawn_classes(3, 4, turned=True)
    dataset = meta_dataset(classes)
    assert len(dataset.labels) == len(classes) == 12
    transforms = [NWays(dataset, 5), KShots(dataset, 2), LoadData(dataset),
        RemapLabels(dataset)]  # fmt: skip
    images, labels = Taskset(dataset, transforms, num_tasks=3)[0]
    assert images.shape == (10, 1, 12, 12)
    assert sorted(labels.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_turned_class_is_a_class_of_its_own() -> None:
    classes = drawn_classes(2, 3, turned=True)
    turned = Turned(classes)
    assert len(turned) == 24
    image, label = turned[turned.index(4, 7)]
    assert label == 7
    torch.testing.assert_close(image, torch.rot90(classes.images[4], 3, (1, 2)).float() / 255)


@pytest.mark.parametrize(
    ("asked", "told"),
    [({"ways": 9}, "at least 9 classes"), ({"shots": 9}, "images of each class")],
)
def test_too_few_of_anything_is_told_first(asked: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        taskset(drawn_classes(6, 6), episodes=1, **{**ASKED, **asked})
    with pytest.raises(ValueError, match="one episode"):
        taskset(drawn_classes(6, 6), episodes=0, **ASKED)


@pytest.mark.skipif(not ABSENT, reason="learn2learn is installed")
def test_without_the_library_it_says_how_to_get_it() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"metanas\[few-shot\]"):
        taskset(drawn_classes(6, 6), episodes=1, **ASKED)
    with pytest.raises(ModuleNotFoundError, match=r"metanas\[few-shot\]"):
        meta_dataset(drawn_classes(6, 6))
