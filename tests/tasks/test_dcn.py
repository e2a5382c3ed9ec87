from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from tasks.dcn import (
    MOST_EPOCHS,
    MOST_SEEN,
    Characterisation,
    _budget,
    _prepared,
    build,
    characterise,
)
from tasks.features import measure
from tasks.load import CHUNK, Split, TaskData, prepare


class Largest(TorchDispatchMode):
    """Remembers how many reals the largest tensor of this thread held."""

    def __init__(self) -> None:
        super().__init__()
        self.reals = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.is_floating_point():
            self.reals = max(self.reals, made.numel())
        return made


def test_the_same_seed_gives_the_same_number(tmp_path: Path) -> None:
    data = prepare("synthetic", "gratings#n=40&ways=3&difficulty=0.7", cache=tmp_path)
    torch.manual_seed(1)
    first = characterise(data, seed=5, probes=2)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert characterise(data, seed=5, probes=2) == first
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("measured", [characterise, measure])
def test_the_number_of_threads_changes_nothing(
    tmp_path: Path, measured: Callable[[TaskData], object]
) -> None:
    data = prepare("synthetic", "gratings#n=40&ways=3&difficulty=0.7&size=40", cache=tmp_path)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(measured(data))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("measured", [lambda data: characterise(data, probes=1), measure])
def test_large_images_are_not_all_made_reals_at_once(
    measured: Callable[[TaskData], object],
) -> None:
    part = Split(torch.zeros(4 * CHUNK, 3, 80, 80, dtype=torch.uint8), torch.arange(4 * CHUNK) % 2)
    with Largest() as largest:
        measured(TaskData(part, part, None, ("a", "b"), 0))
    assert largest.reals <= CHUNK * 3 * 80 * 80


def test_images_are_shrunk_some_at_a_time_as_all_at_once() -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3 * CHUNK + 7, 3, 50, 40), generator=draw, dtype=torch.uint8)
    found, _ = _prepared(Split(images, torch.arange(len(images)) % 3), len(images), 0)
    whole = functional.interpolate(
        images.float() / 255.0, [32, 32], mode="bilinear", antialias=True
    )
    assert torch.equal(found, whole)


def test_hard_data_have_a_lower_number_than_easy(tmp_path: Path) -> None:
    numbers = [
        characterise(
            prepare("synthetic", f"gratings#n=160&difficulty={difficulty}", cache=tmp_path),
            probes=1,
        ).dcn
        for difficulty in (0.1, 0.85, 1.0)
    ]
    assert numbers[0] > 0.95
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[2] < 0.6


def test_the_number_is_the_mean_over_seeds() -> None:
    found = Characterisation((0.5, 0.6, 0.7))
    assert found.dcn == pytest.approx(0.6)
    assert found.std == pytest.approx(0.1)
    assert Characterisation((0.5,)).std == 0.0


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (8, 8), (28, 28), (64, 64)])
def test_any_size_can_be_probed(size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (6, 2, *size), dtype=torch.uint8)
    part = Split(images, torch.arange(6) % 2)
    data = TaskData(part, part, None, ("a", "b"), 0)
    assert 0.0 <= characterise(data, probes=1).dcn <= 1.0


def test_images_of_one_colour_can_be_probed() -> None:
    part = Split(torch.full((8, 1, 8, 8), 7, dtype=torch.uint8), torch.arange(8) % 2)
    assert characterise(TaskData(part, part, None, ("a", "b"), 0), probes=1).dcn == 0.5


def test_progress_counts_every_epoch(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    data = prepare("synthetic", "gratings#n=40", cache=tmp_path)
    characterise(data, probes=2, progress=lambda *step: told.append(step))
    assert [step[0] for step in told] == list(range(1, told[-1][1] + 1))


@pytest.mark.parametrize("n", [2, 17, 200, 2_000, 8_000])
def test_a_probe_stays_within_its_budget(n: int) -> None:
    epochs, batch = _budget(n)
    assert 1 <= batch <= min(n, 128)
    assert epochs * n <= MOST_SEEN
    assert epochs <= MOST_EPOCHS or epochs * (n // batch) <= 400


def test_the_probe_ends_at_four_pixels_a_side() -> None:
    network = build(3, 10, (32, 32))
    maps = torch.nn.Sequential(*list(network.children())[:-3])(torch.zeros(2, 3, 32, 32))
    assert maps.shape == (2, 128, 4, 4)


def test_no_probe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need at least one probe, got 0"):
        characterise(prepare("synthetic", "gratings", cache=tmp_path), probes=0)
