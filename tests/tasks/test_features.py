from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.features import above_chance, measure
from tasks.load import Split, TaskData, prepare
from tasks.similarity import DCN, SCALES


def data_of(images: torch.Tensor, labels: torch.Tensor) -> TaskData:
    part = Split(images, labels)
    names = tuple(str(code) for code in range(int(labels.max()) + 1))
    return TaskData(part, part, None, names, 0)


def test_the_same_data_and_seed_measure_the_same(tmp_path: Path) -> None:
    data = prepare("synthetic", "gratings#n=120", cache=tmp_path)
    before = torch.random.get_rng_state()
    assert measure(data, seed=3) == measure(data, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 999),
    st.integers(1, 4),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([0, 1, 255]),
)
def test_every_feature_is_finite(
    seed: int, channels: int, size: tuple[int, int], most: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, most + 1, (12, channels, *size), generator=draw, dtype=torch.uint8)
    features = measure(data_of(images, torch.arange(12) % 3))
    assert all(math.isfinite(value) for value in features.values())


def test_names_do_not_depend_on_the_data(tmp_path: Path) -> None:
    grey = measure(prepare("synthetic", "gratings#n=40", cache=tmp_path))
    colour = measure(prepare("synthetic", "blobs#n=80&channels=3&ways=7", cache=tmp_path))
    assert grey.keys() == colour.keys()
    assert grey.keys() >= SCALES.keys() - {DCN}


def test_balanced_classes_have_full_entropy(tmp_path: Path) -> None:
    even = measure(prepare("synthetic", "blobs#n=200", cache=tmp_path))
    uneven = measure(prepare("synthetic", "blobs#n=200&imbalance=0.7", cache=tmp_path))
    assert even["imbalance_entropy"] == pytest.approx(1.0)
    assert 0.0 < uneven["imbalance_entropy"] < 0.8


def test_sizes_are_counted(tmp_path: Path) -> None:
    features = measure(prepare("synthetic", "blobs#n=200&ways=5&channels=3&size=20"))
    assert features["log_train"] == pytest.approx(math.log(160))
    assert features["log_classes"] == pytest.approx(math.log(5))
    assert features["log_pixels"] == pytest.approx(math.log(400))
    assert features["channels"] == 3


def test_pixels_are_measured() -> None:
    images = torch.zeros(8, 1, 8, 8, dtype=torch.uint8)
    images[..., ::2] = 255
    features = measure(data_of(images, torch.arange(8) % 2))
    assert features["intensity_mean"] == pytest.approx(0.5)
    assert features["intensity_std"] == pytest.approx(0.5, abs=0.01)
    assert features["edge_energy"] == pytest.approx(0.5)
    assert features["colour"] == 0.0


def test_pixels_are_measured_over_all_images_together() -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (130, 3, 9, 11), generator=draw, dtype=torch.uint8)
    images[:40] //= 3
    features = measure(data_of(images, torch.arange(130) % 2))
    grey = (images.double() / 255.0).mean(dim=1)
    mean, std = float(grey.mean()), float(grey.std())
    edges = [float(grey.diff(dim=axis).abs().mean()) for axis in (1, 2)]
    expected = {
        "intensity_mean": mean,
        "intensity_std": std,
        "intensity_skew": float(((grey - mean) ** 3).mean()) / std**3,
        "edge_energy": sum(edges) / 2,
        "image_contrast": float(grey.flatten(1).std(dim=1, unbiased=False).mean()),
    }
    assert {name: features[name] for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("landmark", ["nearest_centroid", "one_nn", "logistic"])
def test_landmarks_tell_easy_from_hopeless_data(tmp_path: Path, landmark: str) -> None:
    easy = measure(prepare("synthetic", "blobs#n=300&difficulty=0", cache=tmp_path))
    hopeless = measure(prepare("synthetic", "blobs#n=300&difficulty=1", cache=tmp_path))
    assert easy[landmark] > 0.9
    assert hopeless[landmark] < 0.5
    assert easy[f"{landmark}_above_chance"] > 0.9
    assert abs(hopeless[f"{landmark}_above_chance"]) < 0.3


def test_chance_is_the_largest_class() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    assert above_chance(0.75, labels) == 0.0
    assert above_chance(1.0, labels) == 1.0
    assert above_chance(1.0, torch.zeros(4, dtype=torch.int64)) == 0.0
