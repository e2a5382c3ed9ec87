from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.episodes import Classes, Episodes, check_disjoint, draw
from tests.contracts.drawings import drawn_classes


def plain_classes(n: int = 6, images: int = 5) -> Classes:
    """Every image says which class and which image of it it is."""
    pixels = torch.zeros(n * images, 1, 4, 4, dtype=torch.uint8)
    labels = torch.arange(n).repeat_interleave(images)
    pixels[:, 0, 0, 0] = labels
    pixels[:, 0, 0, 1] = torch.arange(images).repeat(n)
    return Classes(pixels, labels, tuple(f"c{i}" for i in range(n)))


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(1, 3), st.integers(1, 2), st.integers(0, 10**6))
def test_an_episode_holds_its_classes_and_no_image_twice(
    ways: int, shots: int, queries: int, seed: int
) -> None:
    drawn = draw(plain_classes(), [0, 7], ways=ways, shots=shots, queries=queries, seed=seed)
    assert (len(drawn), drawn.ways, drawn.shots) == (2, ways, shots)
    assert drawn.query.shape == (2, ways * queries, 1, 4, 4)
    for episode in range(2):
        support, query = drawn.support[episode, :, 0, 0], drawn.query[episode, :, 0, 0]
        chosen = drawn.classes[episode]
        assert len(set(chosen.tolist())) == ways
        assert torch.equal(support[:, 0], chosen[drawn.support_labels[episode]].byte())
        assert torch.equal(query[:, 0], chosen[drawn.query_labels[episode]].byte())
        images = [tuple(pair) for pair in torch.cat([support[:, :2], query[:, :2]]).tolist()]
        assert len(set(images)) == len(images)


def test_the_same_number_and_seed_give_the_same_episode_whatever_else_is_drawn() -> None:
    classes = drawn_classes(8, 6, turned=True)
    many = draw(classes, range(5), ways=4, shots=1, queries=2, seed=3, warp=0.5)
    one = draw(classes, [4], ways=4, shots=1, queries=2, seed=3, warp=0.5)
    assert torch.equal(many.support[4], one.support[0])
    assert torch.equal(many.query[4], one.query[0])
    other = draw(classes, [4], ways=4, shots=1, queries=2, seed=4, warp=0.5)
    assert not torch.equal(other.support, one.support)


def test_quarter_turns_are_further_classes() -> None:
    classes = plain_classes(2)
    turned = Classes(classes.images, classes.labels, classes.names, turned=True)
    assert len(turned) == 8
    drawn = draw(turned, [0], ways=8, shots=1, queries=1, seed=0)
    for position, each in enumerate(drawn.classes[0].tolist()):
        name, turn = divmod(each, 4)
        upright = torch.rot90(drawn.support[0, position], -turn, (1, 2))
        assert int(upright[0, 0, 0]) == name


def test_only_square_images_are_turned() -> None:
    with pytest.raises(ValueError, match="square"):
        Classes(torch.zeros(2, 1, 3, 4, dtype=torch.uint8), torch.arange(2), ("a", "b"), True)


def test_parts_of_the_classes_are_disjoint_and_cover_them() -> None:
    classes = plain_classes(10)
    parts = classes.split([0.2, 0.3], seed=1)
    assert [len(part) for part in parts] == [5, 2, 3]
    assert sorted(name for part in parts for name in part.names) == sorted(classes.names)
    assert [p.names for p in parts] == [p.names for p in classes.split([0.2, 0.3], seed=1)]
    for part in parts:
        shown = part.images[:, 0, 0, 0]
        assert [part.names[label] for label in part.labels] == [f"c{int(i)}" for i in shown]


def test_too_few_classes_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="more than 2 classes"):
        plain_classes(2).split([0.1, 0.1], seed=0)


@pytest.mark.parametrize(
    ("ways", "shots", "queries", "told"),
    [
        (7, 1, 1, "at least 7 classes .* got 6"),
        (2, 4, 2, "need 6 images of each class .* got 5 of class 'c0'"),
        (1, 1, 1, "two ways"),
        (2, 0, 1, "one shot"),
        (2, 1, 0, "one query"),
    ],
)
def test_too_few_of_anything_is_told(ways: int, shots: int, queries: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        draw(plain_classes(), [0], ways=ways, shots=shots, queries=queries, seed=0)


def test_no_episode_is_no_batch() -> None:
    with pytest.raises(ValueError, match="one episode"):
        draw(plain_classes(), [], ways=2, shots=1, queries=1, seed=0)


def test_a_class_in_training_and_test_is_found_by_its_images() -> None:
    classes = drawn_classes(6, 4)
    train, test = classes.split([0.5], seed=0)
    check_disjoint(train, test)
    with pytest.raises(ValueError, match=r"1 in both: drawing 0/\d"):
        check_disjoint(train, classes.only([classes.names.index(train.names[0])]))
    with pytest.raises(ValueError, match=r"3 in both: drawing 0/\d, drawing"):
        check_disjoint(train, classes)
    again = train.only([0])
    renamed = Classes(again.images, again.labels, ("another name",))
    with pytest.raises(ValueError, match=r"another name \(as drawing"):
        check_disjoint(train, renamed)


def test_other_images_of_the_same_names_are_other_classes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = drawn_classes(4, 3)
    other = replace(drawn_classes(4, 3, seed=1), names=one.names)
    check_disjoint(one, other)
    assert "classes with 4 names in both: drawing 0/0, " in caplog.text
    mixed = replace(one, images=torch.cat([one.images[:11], other.images[11:]]))
    with pytest.raises(ValueError, match=r"got 1 in both: drawing 0/3$"):
        check_disjoint(mixed, other)


def test_images_of_one_colour_make_no_class_the_same() -> None:
    blank = np.zeros((3, 1, 4, 4), np.uint8)
    one = Classes(torch.from_numpy(blank), torch.arange(3), ("a", "b", "c"))
    other = Classes(torch.from_numpy(blank), torch.arange(3), ("d", "e", "f"))
    check_disjoint(one, other)


def test_episodes_hold_a_label_for_each_image() -> None:
    images, labels = torch.zeros(1, 2, 1, 4, 4), torch.zeros(1, 3)
    with pytest.raises(ValueError, match="a label for each"):
        Episodes(images, labels, images, labels, torch.zeros(1, 2))
