"""Trained together, each network learns what it would learn alone."""

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metadata_store.records import Architecture, Task, TrialState
from metanas.evaluators import checkpoint, fused
from metanas.evaluators.fused import Fused
from metanas.evaluators.scratch import Scratch
from metanas.evaluators.training import Lesson
from metanas.networks.fused_cells import FusedCells
from metanas.spaces.nasbench201 import NasBench201, cell
from metanas.train import train, train_together

SPACE = NasBench201(width=4, cells=1)
CELLS = [cell(int(i)) for i in np.random.default_rng(0).choice(15_625, 7, replace=False)]
DEAD = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
TASK = Task("stripes", "synthetic", "gratings#n=160&size=9&ways=3", 160, 3, (1, 9, 9), None, {})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scratch(**options: object) -> Scratch:
    given: dict[str, object] = {"epochs": 3, "batch_size": 16, "device": "cpu"}
    return Scratch(SPACE, **{**given, **options})  # type: ignore[arg-type]


def test_curves_are_those_of_networks_trained_alone() -> None:
    drawn: list[Architecture] = [*CELLS, DEAD]
    # Small steps: large ones blow up what differs by rounding.
    evaluator = scratch(lr=0.01)
    together = train_together(drawn, TASK, evaluator=evaluator, seed=3, source="s")
    images = torch.rand(6, 1, 9, 9)
    for architecture, one in zip(drawn, together, strict=True):
        alone = train(architecture, TASK, evaluator=evaluator, seed=3, source="s")
        assert one.trial.architecture == architecture
        assert one.trial.curve.epochs == alone.trial.curve.epochs == (1, 2, 3)
        # An image whose two best classes are nearly alike may go either way.
        assert one.trial.curve.values == pytest.approx(alone.trial.curve.values, abs=0.04)
        assert one.trial.extras == pytest.approx(alone.trial.extras, rel=1e-3)
        assert one.module(images).detach().numpy() == pytest.approx(
            alone.module(images).detach().numpy(), abs=2e-3
        )


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Networks of float64, which take images of it."""

    def logits(self: Lesson, module: nn.Module, images: Tensor) -> Tensor:
        return module(images.double() / 255)  # type: ignore[no-any-return]

    monkeypatch.setattr(Lesson, "_logits", logits)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("in_float64")
def test_without_rounding_curves_are_equal_at_the_usual_learning_rate() -> None:
    evaluator = scratch(epochs=6)
    assert evaluator.recipe.lr == 0.1
    together = train_together(CELLS, TASK, evaluator=evaluator, seed=3, source="s")
    for architecture, one in zip(CELLS, together, strict=True):
        alone = train(architecture, TASK, evaluator=evaluator, seed=3, source="s")
        assert next(alone.module.parameters()).dtype == torch.float64
        assert one.trial.curve.values == pytest.approx(alone.trial.curve.values, abs=1e-6)
        assert one.trial.extras == pytest.approx(alone.trial.extras, rel=1e-6)


def test_another_seed_is_another_training() -> None:
    one, other = (list(Fused(scratch()).run(CELLS[:2], TASK, seed=seed)) for seed in (0, 1))
    assert one != other


def test_a_training_cut_off_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    evaluator = Fused(scratch(checkpoints=tmp_path))
    whole = list(Fused(scratch()).run(CELLS, TASK, seed=0))
    first = evaluator.run(CELLS, TASK, seed=0)
    assert list(islice(first, 2)) == whole[:2]
    again = evaluator.run(CELLS, TASK, seed=0)
    assert len(again.values) == 2
    assert again.seconds == first.seconds
    assert list(again) == whole
    other = evaluator.run(CELLS[::-1], TASK, seed=0)
    assert other.values == []


@pytest.mark.parametrize("values", ["ab", [], [0.5], [[0.5]], [[0.5, 0.5, 0.5]], [[0.5], []]])
def test_a_checkpoint_of_other_curves_is_refused_by_name(values: object, tmp_path: Path) -> None:
    evaluator = Fused(scratch(checkpoints=tmp_path / "kept"))
    next(iter(evaluator.run(CELLS[:2], TASK, seed=0)))
    (file,) = (tmp_path / "kept").iterdir()
    checkpoint.write(file, {**(checkpoint.read(file) or {}), "values": values})
    with pytest.raises(ValueError, match=rf"^{file} is no checkpoint of this training; delete it"):
        evaluator.run(CELLS[:2], TASK, seed=0)


def test_one_that_diverges_ends_there_and_the_others_go_on() -> None:
    run = Fused(scratch(epochs=4)).run(CELLS[:2], TASK, seed=0)
    epochs = iter(run)
    next(epochs)
    with torch.no_grad():
        for name, value in run._module.named_parameters():
            if name.endswith("classify.weight"):
                value[: len(value) // 2] = math.nan
    rest = list(epochs)
    assert all(math.isnan(first) and math.isfinite(second) for _, (first, second) in rest)


def test_a_diverged_network_gives_a_failed_trial() -> None:
    evaluator = scratch(lr=1e30, epochs=2)
    trials = [
        each.trial
        for each in train_together([CELLS[0], DEAD], TASK, evaluator=evaluator, seed=0, source="s")
    ]
    assert [trial.state for trial in trials] == [TrialState.FAILED, TrialState.FAILED]
    assert len(trials[0].curve) == 1
    assert trials[0].score is None


def test_what_is_faster_is_measured_on_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: list[float] = []
    seen: list[nn.Module] = []

    def timed(module: nn.Module, lesson: Lesson) -> float:
        seen.append(module)
        seconds.append(1.0 if isinstance(module.network, FusedCells) else 0.25)
        for parameter in module.parameters():
            parameter.data.fill_(math.nan)
        return seconds[-1]

    made: list[nn.Module] = []
    fresh = Scratch.fresh

    def kept(self: Scratch, architecture: Architecture, task: Task, seed: int) -> nn.Module:
        made.append(fresh(self, architecture, task, seed))
        return made[-1]

    monkeypatch.setattr(fused, "_seconds", timed)
    monkeypatch.setattr(Scratch, "fresh", kept)
    cells = [cell(i) for i in range(17)]
    # 17 networks of a quarter of a second each, against one second for all.
    assert Fused(scratch()).gain(cells, TASK) == pytest.approx(17 / 4)
    assert len(seen) - 1 <= fused.PROBED_NETWORKS
    assert all(value.isfinite().all() for each in made for value in each.state_dict().values())


def test_a_group_that_is_too_large_to_be_timed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(module: nn.Module, lesson: Lesson) -> float:
        if isinstance(module.network, FusedCells):
            raise torch.OutOfMemoryError("out of memory")
        return 0.25

    monkeypatch.setattr(fused, "_seconds", full)
    with pytest.raises(torch.OutOfMemoryError):
        Fused(scratch()).gain(CELLS[:2], TASK)


def test_steps_are_timed() -> None:
    assert math.isfinite(Fused(scratch()).gain(CELLS[:2], TASK))


def test_a_group_that_was_cut_off_is_known(tmp_path: Path) -> None:
    evaluator = Fused(scratch(checkpoints=tmp_path / "kept"))
    assert not evaluator.begun(CELLS, TASK, seed=0)
    next(iter(evaluator.run(CELLS, TASK, seed=0)))
    assert evaluator.begun(CELLS, TASK, seed=0)
    assert not evaluator.begun(CELLS, TASK, seed=1)
    assert not evaluator.begun(CELLS[:3], TASK, seed=0)
