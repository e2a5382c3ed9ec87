from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tasks.load import prepare
from tests.contracts.loader import LoaderContract


class TestSynthetic(LoaderContract):
    @pytest.fixture
    def kind(self) -> str:
        return "synthetic"

    @pytest.fixture(params=["gratings", "blobs"])
    def data(self, request: pytest.FixtureRequest) -> str:
        return f"{request.param}#n=60&ways=3&channels=3"


def test_the_options_say_what_comes(tmp_path: Path) -> None:
    data = prepare("synthetic", "blobs#n=90&ways=5&channels=2&size=12", cache=tmp_path)
    assert (data.n_samples, len(data.classes), data.shape) == (90, 5, (2, 12, 12))


def test_imbalance_gives_each_class_fewer(tmp_path: Path) -> None:
    data = prepare("synthetic", "blobs#n=400&ways=3&imbalance=0.5", cache=tmp_path)
    counts = torch.cat([data.train.labels, data.val.labels]).bincount()
    assert counts.tolist() == [229, 114, 57]


def test_small_classes_leave_the_number_of_images_as_asked(tmp_path: Path) -> None:
    data = prepare("synthetic", "blobs#n=40&ways=10&imbalance=0.6", cache=tmp_path)
    counts = torch.cat([data.train.labels, data.val.labels]).bincount().tolist()
    assert sum(counts) == 40
    assert min(counts) == 2
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("stripes", "no pattern 'stripes'"),
        ("blobs#ways=1", "ways must be at least 2, got 1"),
        ("blobs#n=7&ways=4", "need two images of each of 4 classes, got n=7"),
        ("blobs#imbalance=1", r"imbalance must lie in \[0, 1\), got 1"),
        ("blobs#difficulty=2", r"difficulty must lie in \[0, 1\], got 2"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare("synthetic", data, cache=tmp_path)
