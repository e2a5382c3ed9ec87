"""What every kind of data must give once it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tasks.load import LOADERS, TaskData, prepare


class LoaderContract:
    """Needs the fixtures `kind` and `data`: at least 40 images of 2 to 10 classes, no parts."""

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Path:
        return tmp_path / "cache"

    @pytest.fixture
    def loaded(self, kind: str, data: str, cache: Path) -> TaskData:
        return prepare(kind, data, cache=cache)

    def test_the_kind_is_the_name_of_the_loaders_module(self, kind: str) -> None:
        assert LOADERS[kind].open.__module__ == f"tasks.{kind}"

    def test_images_are_bytes_and_labels_are_positions_in_the_classes(
        self, loaded: TaskData
    ) -> None:
        for part in (loaded.train, loaded.val):
            assert part.images.dtype == torch.uint8
            assert part.images.ndim == 4
            assert part.labels.dtype == torch.int64
            assert int(part.labels.min()) >= 0
            assert int(part.labels.max()) < len(loaded.classes)

    def test_images_use_the_range_of_a_byte(self, loaded: TaskData) -> None:
        assert int(loaded.train.images.max()) > 127

    def test_every_class_reaches_training_and_validation(self, loaded: TaskData) -> None:
        for part in (loaded.train, loaded.val):
            assert set(part.labels.tolist()) == set(range(len(loaded.classes)))

    def test_a_fifth_is_kept_for_validation(self, loaded: TaskData) -> None:
        total = len(loaded.train) + len(loaded.val)
        assert abs(len(loaded.val) / total - 0.2) < 0.08

    def test_the_second_call_gives_the_same(
        self, kind: str, data: str, cache: Path, loaded: TaskData
    ) -> None:
        again = prepare(kind, data, cache=cache)
        assert torch.equal(again.train.images, loaded.train.images)
        assert torch.equal(again.val.labels, loaded.val.labels)
        assert again.classes == loaded.classes

    def test_a_fresh_cache_gives_the_same(
        self, kind: str, data: str, loaded: TaskData, tmp_path: Path
    ) -> None:
        again = prepare(kind, data, cache=tmp_path / "other")
        assert torch.equal(again.train.images, loaded.train.images)
        assert torch.equal(again.train.labels, loaded.train.labels)

    def test_another_seed_splits_otherwise(
        self, kind: str, data: str, cache: Path, loaded: TaskData
    ) -> None:
        other = prepare(kind, with_option(data, "seed=7"), cache=cache)
        assert not torch.equal(other.train.images, loaded.train.images)

    def test_size_makes_squares(self, kind: str, data: str, cache: Path) -> None:
        assert prepare(kind, with_option(data, "size=10"), cache=cache).shape[1:] == (10, 10)

    def test_limit_keeps_that_many_of_all_classes(
        self, kind: str, data: str, cache: Path, loaded: TaskData
    ) -> None:
        few = prepare(kind, with_option(data, "limit=24"), cache=cache)
        assert few.n_samples == 24
        assert few.classes == loaded.classes

    def test_grey_leaves_one_channel(self, kind: str, data: str, cache: Path) -> None:
        assert prepare(kind, with_option(data, "grey=1"), cache=cache).shape[0] == 1

    def test_classes_are_chosen_by_name_or_position(
        self, kind: str, data: str, cache: Path, loaded: TaskData
    ) -> None:
        two = prepare(kind, with_option(data, f"classes={loaded.classes[1]},0"), cache=cache)
        assert two.classes == loaded.classes[:2]
        assert set(two.train.labels.tolist()) == {0, 1}

    def test_an_unknown_option_names_the_nearest(self, kind: str, data: str, cache: Path) -> None:
        with pytest.raises(ValueError, match=r"unknown option 'limt'.*did you mean 'limit'"):
            prepare(kind, with_option(data, "limt=3"), cache=cache)


def with_option(data: str, option: str) -> str:
    return f"{data}&{option}" if "#" in data else f"{data}#{option}"
