"""Training from fresh weights: what it learns, what a seed promises, where it resumes."""

from __future__ import annotations

import copy
import math
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import InitVar, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metadata_store.records import Architecture, Task
from metanas.evaluators import checkpoint
from metanas.evaluators.recipe import Recipe
from metanas.evaluators.scratch import Scratch, channel_statistics
from metanas.evaluators.training import Run
from metanas.protocols import Evaluator, SearchSpace
from metanas.spaces.darts import Darts
from metanas.spaces.listed import Listed
from metanas.spaces.nasbench201 import NasBench201
from metanas.spaces.random_chooser import RandomChooser
from tasks.load import Split, TaskData
from tests.contracts.evaluator import EvaluatorContract

ROOT = Path(__file__).parents[3]
SPACE = NasBench201(width=4, cells=1)
GOOD = SPACE.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
)
DEAD = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")


def stripes(n: int, *, seed: int, channels: int = 1) -> Split:
    """Four classes by the direction of stripes, at random places, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    y, x = np.mgrid[:10, :10]
    along = np.stack([y, x, y + x, y - x])[labels]  # (n, 10, 10)
    waves = np.sin(1.6 * along + rng.uniform(0, 2 * np.pi, (n, 1, 1)))
    images = 127 + 50 * waves[:, None] + rng.normal(0, 30, (n, channels, 10, 10))
    return Split(
        torch.from_numpy(images.clip(0, 255).astype(np.uint8)),
        torch.from_numpy(labels.astype(np.int64)),
    )


def load(task: Task) -> TaskData:
    """Pickles by name, as the default does."""
    return TaskData(
        train=stripes(96, seed=1, channels=task.input_shape[0]),
        val=stripes(80, seed=2, channels=task.input_shape[0]),
        test=None,
        classes=("a", "b", "c", "d"),
        skipped=0,
    )


def task_of(channels: int = 1) -> Task:
    return Task("stripes", "test", "stripes", 176, 4, (channels, 10, 10), None, {})


TASK = task_of()


def scratch(**options: object) -> Scratch:
    given: dict[str, object] = {"epochs": 3, "batch_size": 32, "device": "cpu", "load": load}
    return Scratch(SPACE, **{**given, **options})  # type: ignore[arg-type]


def finished(evaluator: Scratch, architecture: Architecture = GOOD, *, seed: int = 0) -> Run:
    run = evaluator.run(architecture, TASK, seed=seed)
    list(run)
    return run


def weights(run: Run) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run.module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TestScratch(EvaluatorContract):
    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return scratch()

    @pytest.fixture
    def architecture(self) -> Architecture:
        return GOOD

    @pytest.fixture
    def task(self) -> Task:
        return TASK


class TestScratchWithCheckpoints(TestScratch):
    @pytest.fixture
    def evaluator(self, tmp_path: Path) -> Evaluator:
        return scratch(checkpoints=tmp_path)


# What it learns


def test_a_network_learns_and_one_that_nothing_passes_does_not() -> None:
    run = finished(scratch(epochs=8, batch_size=16))
    assert run.values[-1] > 0.85
    assert run.values[-1] > run.values[0]
    assert run.losses[-1] < 0.5 < run.losses[0]
    dead = finished(scratch(epochs=3), DEAD)
    assert dead.values[-1] == 0.25


def test_few_images_are_dealt_out_over_enough_steps() -> None:
    recipe = Recipe(batch_size=64)
    assert [recipe.steps(n) for n in (1, 4, 60, 300, 1000, 1024, 5000)] == [
        1,
        1,
        7,
        16,
        16,
        16,
        78,
    ]


@pytest.mark.parametrize(
    ("images", "epochs"),
    [(4, 200), (60, 86), (569, 38), (1250, 30), (3199, 12), (50_000, 12)],
)
def test_few_images_are_seen_more_often(images: int, epochs: int) -> None:
    recipe = Recipe().long_enough(images)
    assert recipe == Recipe(epochs=epochs)
    assert epochs == 200 or recipe.steps(images) * epochs >= 600
    assert Recipe(epochs=1000).long_enough(images).epochs == 1000


def test_colour_is_trained_too() -> None:
    run = scratch().run(GOOD, task_of(channels=3), seed=0)
    assert len(list(run)) == 3


def test_the_network_takes_images_between_0_and_1_and_scores_as_reported() -> None:
    run = finished(scratch())
    val = load(TASK).val
    assert not run.module.training
    logits = run.module(val.images.float() / 255)
    accuracy = (logits.argmax(1) == val.labels).float().mean()
    assert float(accuracy) == pytest.approx(run.values[-1])


def test_channel_statistics_are_those_of_the_images() -> None:
    images = stripes(50, seed=0, channels=2).images
    images[:, 1] //= 2
    mean, std = channel_statistics(images)
    scaled = images.double() / 255
    np.testing.assert_allclose(mean, scaled.mean(dim=(0, 2, 3)))
    np.testing.assert_allclose(std, scaled.std(dim=(0, 2, 3), correction=0))


def test_a_channel_that_never_changes_is_trained_without_harm() -> None:
    def flat(task: Task) -> TaskData:
        data = load(task_of(channels=2))
        data.train.images[:, 1] = data.val.images[:, 1] = 9
        return data

    run = scratch(load=flat, epochs=1).run(GOOD, task_of(channels=2), seed=0)
    assert [math.isfinite(value) for _, value in run] == [True]


def test_the_learning_rate_falls_to_nothing() -> None:
    run = finished(scratch(epochs=4))
    before = weights(run)
    rates = [group["lr"] for group in run._optimizer.param_groups]
    assert all(0 < rate < 0.1 * Recipe.lr for rate in rates)
    assert list(run) == list(enumerate(run.values, start=1))
    assert same(before, weights(run))


@pytest.mark.parametrize("n", [1, 5, 31, 33])
def test_any_number_of_images_is_trained(n: int) -> None:
    def few(task: Task) -> TaskData:
        whole = load(task)
        train = Split(whole.train.images[:n], whole.train.labels[:n])
        return TaskData(train, whole.val, None, whole.classes, 0)

    assert len(list(scratch(load=few, epochs=2)(GOOD, TASK, seed=0))) == 2


def small(n: int, size: int) -> Callable[[Task], TaskData]:
    """So many images to train on, of so many pixels a side."""

    def load_small(task: Task) -> TaskData:
        data = load(task)
        train, val = (
            Split(each.images[:, :, :size, :size], each.labels) for each in (data.train, data.val)
        )
        return replace(data, train=Split(train.images[:n], train.labels[:n]), val=val)

    return load_small


@pytest.mark.parametrize("n", [1, 3, 12])
@pytest.mark.parametrize("size", [1, 4])
def test_a_batch_of_one_that_a_network_cannot_learn_from_is_refused_first(
    n: int, size: int
) -> None:
    run = scratch(load=small(n, size), batch_size=1 if n == 12 else 2).run(GOOD, TASK, seed=0)
    before = weights(run)
    message = f"need batches of two images at least .* {size} x {size}, got batch_size="
    with pytest.raises(ValueError, match=message):
        next(iter(run))
    assert same(weights(run), before)


def test_divergence_yields_nan_and_ends_it(tmp_path: Path) -> None:
    evaluator = scratch(lr=1e30, checkpoints=tmp_path)
    run = finished(evaluator)
    assert len(run.values) < 3
    assert math.isnan(run.values[-1])
    assert run.diverged
    again = evaluator.run(GOOD, TASK, seed=0)
    assert [math.isnan(value) for _, value in again] == [math.isnan(value) for value in run.values]


# What a seed promises


def test_a_seed_fixes_curve_and_weights_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = finished(scratch())
    torch.manual_seed(2)
    torch.rand(5)
    second = finished(scratch())
    assert first.values == second.values
    assert first.losses == second.losses
    assert same(weights(first), weights(second))


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    curve = scratch(epochs=1)(GOOD, TASK, seed=0)
    next(curve)
    assert torch.equal(torch.rand(4), wanted)


def test_another_seed_trains_another_network() -> None:
    first, second = finished(scratch(epochs=1)), finished(scratch(epochs=1), seed=1)
    assert first.losses != second.losses
    assert not same(weights(first), weights(second))


class Forgetful(NasBench201):
    """Networks that draw random numbers while they train."""

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(100, 4))


def test_networks_that_draw_random_numbers_keep_the_promises(tmp_path: Path) -> None:
    def runs(seed: int, **options: Path) -> Run:
        evaluator = Scratch(Forgetful(), epochs=3, device="cpu", load=load, **options)
        return evaluator.run(GOOD, TASK, seed=seed)

    whole = runs(0)
    list(whole)
    with closing(iter(runs(0, checkpoints=tmp_path))) as curve:
        next(curve)
    torch.rand(3)
    resumed = runs(0, checkpoints=tmp_path)
    list(resumed)
    assert resumed.losses == whole.losses
    assert same(weights(resumed), weights(whole))


def test_an_evaluator_comes_back_from_a_pickle() -> None:
    evaluator = pickle.loads(pickle.dumps(scratch(epochs=1)))
    assert list(evaluator(GOOD, TASK, seed=0)) == list(scratch(epochs=1)(GOOD, TASK, seed=0))


# Where it resumes


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_training_cut_off_goes_on_exactly(epochs: int, tmp_path: Path) -> None:
    whole = finished(scratch(epochs=4))
    with closing(scratch(epochs=4, checkpoints=tmp_path)(GOOD, TASK, seed=0)) as curve:
        list(islice(curve, epochs))
    resumed = scratch(epochs=4, checkpoints=tmp_path).run(GOOD, TASK, seed=0)
    assert len(resumed.values) == epochs
    assert [value for _, value in resumed] == whole.values
    assert resumed.losses == whole.losses
    assert same(weights(resumed), weights(whole))


KILLED = """
import os, signal, sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
spec = spec_from_file_location("this_test", sys.argv[1])
test = sys.modules["this_test"] = module_from_spec(spec)
spec.loader.exec_module(test)
test.torch.set_num_threads(1)
for epoch, value in test.scratch(epochs=4, checkpoints=Path(sys.argv[2]))(
    test.GOOD, test.TASK, seed=0
):
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_another_goes_on_from_exactly(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, __file__, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole = finished(scratch(epochs=4))
    resumed = scratch(epochs=4, checkpoints=tmp_path).run(GOOD, TASK, seed=0)
    assert len(resumed.values) == 2
    assert [value for _, value in resumed] == whole.values
    assert same(weights(resumed), weights(whole))


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = finished(scratch(checkpoints=tmp_path))
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = finished(scratch(checkpoints=tmp_path))
    assert again.values == first.values
    assert again.seconds == first.seconds > 0
    assert same(weights(again), weights(first))
    assert file.stat().st_mtime_ns == written


def changed(part: str, field: str) -> Callable[[Task], TaskData]:
    """The same data but for the order of a part's images or labels: mean and deviation stay."""

    def load_changed(task: Task) -> TaskData:
        data = load(task)
        split = getattr(data, part)
        return replace(data, **{part: replace(split, **{field: getattr(split, field).flip(0)})})

    return load_changed


@pytest.mark.parametrize(
    "other",
    [
        {"lr": 0.05},
        {"epochs": 4},
        {"augment": "none"},
        {"seed": 1},
        {"architecture": DEAD},
        {"space": NasBench201(width=5, cells=1)},
        {"task": Task("other", "test", "stripes", 176, 4, (1, 10, 10), None, {})},
        {"task": Task("stripes", "npz", "stripes", 176, 4, (1, 10, 10), None, {})},
        {"task": Task("stripes", "test", "stripes#n=9", 176, 4, (1, 10, 10), None, {})},
        {"load": changed("train", "labels")},
        {"load": changed("train", "images")},
        {"load": changed("val", "labels")},
        {"load": changed("val", "images")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_training_has_another_checkpoint(other: dict[str, object], tmp_path: Path) -> None:
    finished(scratch(checkpoints=tmp_path))
    given = dict(other)
    seed, architecture = given.pop("seed", 0), given.pop("architecture", GOOD)
    space, task = given.pop("space", SPACE), given.pop("task", TASK)
    options = {"epochs": 3, "batch_size": 32, "device": "cpu", "load": load, **given}
    evaluator = Scratch(space, checkpoints=tmp_path, **options)  # type: ignore[arg-type]
    run = evaluator.run(architecture, task, seed=seed)  # type: ignore[arg-type]
    assert run.values == []


def alike_cells() -> Architecture:
    """Of `Darts`, with the same layers in both kinds of cells."""
    drawn = Darts().suggest(RandomChooser(np.random.default_rng(0)))
    choices = {name: drawn.choices[name.replace("reduction", "normal")] for name in drawn.choices}
    return Architecture(drawn.space, choices)


class Bordered(NasBench201):
    """Networks that see a frame of zeros around the images: an option that is no field."""

    def __init__(self, border: int) -> None:
        super().__init__(width=4, cells=1)
        object.__setattr__(self, "border", border)

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        network = super().build(architecture, task)
        return nn.Sequential(nn.ZeroPad2d(vars(self)["border"]), network)


@dataclass(frozen=True)
class Framed(NasBench201):
    """The same by an argument of the constructor that is no field."""

    border: InitVar[int] = 0

    def __post_init__(self, border: int) -> None:
        super().__post_init__()
        object.__setattr__(self, "around", border)

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        network = super().build(architecture, task)
        return nn.Sequential(nn.ZeroPad2d(vars(self)["around"]), network)

    @cached_property
    def drawn(self) -> object:
        return iter(())


class Drawing(Bordered):
    """Told by its pickle."""

    @cached_property
    def drawn(self) -> object:
        return lambda: 0


@pytest.mark.parametrize(
    ("one", "other", "architecture"),
    [
        (Darts(width=2, layout="nr"), Darts(width=2, layout="nn"), alike_cells()),
        (Bordered(0), Bordered(1), GOOD),
        (Framed(4, 1, 0), Framed(4, 1, 1), GOOD),
        (Listed(Bordered(0), (GOOD,)), Listed(Bordered(1), (GOOD,)), GOOD),
    ],
    ids=["fields", "attributes", "constructor", "of another space"],
)
def test_spaces_whose_networks_have_the_same_weights_are_told_apart(
    one: SearchSpace, other: SearchSpace, architecture: Architecture, tmp_path: Path
) -> None:
    def run(space: SearchSpace) -> Run:
        evaluator = Scratch(space, epochs=1, device="cpu", checkpoints=tmp_path, load=load)
        return evaluator.run(architecture, TASK, seed=0)

    first, second = run(one), run(other)
    assert {n: v.shape for n, v in first.module.state_dict().items()} == {
        n: v.shape for n, v in second.module.state_dict().items()
    }
    list(first)
    assert len(run(copy.deepcopy(one)).values) == 1
    assert run(other).values == []


@pytest.mark.parametrize("space", [Framed(4, 1, 0), Drawing(0)], ids=["fields", "pickle"])
def test_what_a_space_keeps_of_a_cached_property_tells_nothing(
    space: Framed | Drawing, tmp_path: Path
) -> None:
    def run() -> Run:
        evaluator = Scratch(space, epochs=1, device="cpu", checkpoints=tmp_path, load=load)
        return evaluator.run(GOOD, TASK, seed=0)

    before = run().path
    assert space.drawn is space.drawn
    assert run().path == before


# What is refused


@pytest.mark.parametrize(
    "other",
    [
        {"anything": 1},
        {"module": {}, "optimizer": {}, "values": [], "losses": [], "seconds": 0.0},
        {"module": None, "optimizer": None, "values": [], "losses": [], "seconds": 0.0},
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(
    other: dict[str, object], tmp_path: Path
) -> None:
    finished(scratch(checkpoints=tmp_path, epochs=1))
    (file,) = tmp_path.iterdir()
    checkpoint.write(file, other)
    with pytest.raises(ValueError, match=rf"^{file} is no checkpoint.*; delete it to train anew"):
        scratch(checkpoints=tmp_path, epochs=1).run(GOOD, TASK, seed=0)


def test_a_checkpoint_that_lacks_a_part_is_refused_by_name(tmp_path: Path) -> None:
    finished(scratch(checkpoints=tmp_path, epochs=1))
    (file,) = tmp_path.iterdir()
    whole = dict(checkpoint.read(file) or {})
    for part in whole:
        checkpoint.write(file, {name: value for name, value in whole.items() if name != part})
        with pytest.raises(ValueError, match=f"delete it to train anew .*{part}"):
            scratch(checkpoints=tmp_path, epochs=1).run(GOOD, TASK, seed=0)


@pytest.mark.parametrize(
    "damage",
    [
        {"optimizer": "abc"},
        {"optimizer": {"state": {}, "param_groups": [None]}},
        {"values": "ab"},
        {"values": ["a"]},
        {"values": 0.5},
        {"values": [0.5, 0.5]},
        {"values": []},
        {"losses": []},
        {"losses": [[1.0]]},
        {"seconds": "soon"},
        {"seconds": 10**400},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_a_checkpoint_with_a_damaged_part_is_refused_by_name(
    damage: dict[str, object], tmp_path: Path
) -> None:
    finished(scratch(checkpoints=tmp_path, epochs=1))
    (file,) = tmp_path.iterdir()
    checkpoint.write(file, {**(checkpoint.read(file) or {}), **damage})
    with pytest.raises(ValueError, match=rf"^{file} is no checkpoint.*; delete it to train anew"):
        scratch(checkpoints=tmp_path, epochs=1).run(GOOD, TASK, seed=0)


def test_a_space_that_no_checkpoint_can_name_is_refused(tmp_path: Path) -> None:
    space = Bordered(0)
    object.__setattr__(space, "drawn", lambda: 0)
    with pytest.raises(ValueError, match="checkpoints need a space of plain fields"):
        Scratch(space, device="cpu", checkpoints=tmp_path, load=load).run(GOOD, TASK, seed=0)
    assert Scratch(space, device="cpu", load=load).run(GOOD, TASK, seed=0).path is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "need one epoch"),
        ({"batch_size": 0}, "need one epoch and one image"),
        ({"lr": 0.0}, "need lr above 0"),
        ({"lr": math.nan}, "need lr above 0"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"momentum": 1.0}, "momentum"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"augment": "mixup"}, "augment must be one of auto"),
        ({"device": "abacus"}, "need a device of this machine, got 'abacus'"),
        ({"device": "meta"}, "need a device of this machine, got 'meta'"),
        ({"device": "cuda:99"}, "need a device of this machine, got 'cuda:99'"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scratch(**wrong)


def test_a_task_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="table"):
        Scratch(SPACE, device="cpu").run(GOOD, Task.table("table"), seed=0)


def test_a_task_is_loaded_by_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path))
    task = Task("gratings", "synthetic", "gratings#n=60", 60, 4, (1, 16, 16), None, {})
    values = [value for _, value in Scratch(SPACE, epochs=2, device="cpu")(GOOD, task, seed=0)]
    assert len(values) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("amp", [False, True])
def test_a_gpu_learns_the_same(amp: bool) -> None:
    evaluator = scratch(epochs=8, batch_size=16, device="cuda", amp=amp)
    run = finished(evaluator)
    assert run.values[-1] > 0.85
