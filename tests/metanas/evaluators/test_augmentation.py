"""Crops and mirroring on tensors, and when to mirror."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metanas.evaluators.augmentation import Augmentation, augmentation, mirrors_keep_class


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, height: int, width: int, channels: int = 2) -> Tensor:
    """Every value different; channels last."""
    return torch.arange(n * height * width * channels).view(n, height, width, channels)


def crops(image: Tensor, pad: int) -> list[Tensor]:
    """Every crop of one image (h, w, c) whose border is repeated outwards, channels first."""
    height, width = image.shape[:2]
    rows = torch.arange(-pad, height + pad).clamp(0, height - 1)
    columns = torch.arange(-pad, width + pad).clamp(0, width - 1)
    padded = image[rows][:, columns].permute(2, 0, 1)
    return [
        padded[:, y : y + height, x : x + width]
        for y in range(2 * pad + 1)
        for x in range(2 * pad + 1)
    ]


def test_every_image_becomes_one_of_its_own_crops_and_all_occur() -> None:
    images = numbered(3, 4, 5)
    index = torch.tensor([2, 0] * 150)
    out = Augmentation(1, flip=False)(images, index, seeded(0))
    assert out.shape == (300, 2, 4, 5)
    for which in (0, 2):
        allowed = crops(images[which], 1)
        used = set()
        for each in out[index == which]:
            (match,) = [i for i, crop in enumerate(allowed) if torch.equal(crop, each)]
            used.add(match)
        assert used == set(range(9))


def test_mirroring_turns_about_half_of_the_images() -> None:
    images = numbered(1, 3, 4)
    out = Augmentation(0, flip=True)(images, torch.zeros(400, dtype=torch.int64), seeded(1))
    plain = images[0].permute(2, 0, 1)
    turned = sum(torch.equal(each, plain.flip(2)) for each in out)
    assert turned + sum(torch.equal(each, plain) for each in out) == 400
    assert 150 < turned < 250


def test_no_augmentation_picks_the_images() -> None:
    images = numbered(4, 3, 3)
    index = torch.tensor([3, 1])
    out = Augmentation(0, flip=False)(images, index, seeded(0))
    assert torch.equal(out, images[index].permute(0, 3, 1, 2))


def test_a_generator_fixes_the_draw() -> None:
    images, index = numbered(8, 6, 6), torch.arange(8)
    augment = Augmentation(2, flip=True)
    assert torch.equal(augment(images, index, seeded(3)), augment(images, index, seeded(3)))
    assert not torch.equal(augment(images, index, seeded(3)), augment(images, index, seeded(4)))


def bars(*, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Two classes: a bar on the left or on the right, or at the top or at the bottom."""
    labels = torch.arange(200) % 2
    images = torch.randint(0, 80, (200, 3, 12, 12), generator=seeded(0), dtype=torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        bar = image[:, 8 * label : 8 * label + 4]
        bar += 150
    return (images if symmetric else images.transpose(2, 3).contiguous()), labels


def test_mirroring_is_chosen_where_it_keeps_the_class() -> None:
    assert mirrors_keep_class(*bars(symmetric=True))
    assert not mirrors_keep_class(*bars(symmetric=False))
    assert augmentation("auto", *bars(symmetric=True)) == Augmentation(1, flip=True)
    assert augmentation("auto", *bars(symmetric=False)) == Augmentation(1, flip=False)


def test_digits_are_not_mirrored() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images * 15).to(torch.uint8)[:, None]
    assert not mirrors_keep_class(images, torch.from_numpy(digits.target))


def test_what_is_asked_for_is_not_second_guessed() -> None:
    images, labels = bars(symmetric=False)
    assert augmentation("none", images, labels) == Augmentation(0, flip=False)
    assert augmentation("crop", images, labels) == Augmentation(1, flip=False)
    assert augmentation("crop_flip", images, labels) == Augmentation(1, flip=True)
    with pytest.raises(ValueError, match="augment must be one of auto, none"):
        augmentation("flip", images, labels)


def test_crops_grow_with_the_image() -> None:
    images = torch.zeros(4, 1, 64, 32, dtype=torch.uint8)
    assert augmentation("crop", images, torch.tensor([0, 1, 0, 1])).pad == 4


def test_one_image_is_not_mirrored() -> None:
    assert not mirrors_keep_class(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([0]))
