import json
import shutil
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, Task, Trial
from metadata_store.reference import reference_batches, reference_tasks
from metanas import experience
from metanas.distribute.spread import Spread
from metanas.evaluators.fused import Fused, FusedRun
from metanas.evaluators.training import Run
from metanas.networks.fused_cells import FusedCells
from metanas.protocols import Chooser
from metanas.settings import ExperienceSettings, Named, TaskSettings
from metanas.spaces import different
from metanas.spaces.nasbench201 import NasBench201

OTHER = "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
CELL = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
SETTINGS = ExperienceSettings(
    tasks=(
        TaskSettings("one", "gratings#n=60&size=8&ways=3", "synthetic"),
        TaskSettings("two", "blobs#n=60&ways=3&size=8", "synthetic"),
    ),
    source="tests",
    architectures=2,
    space=Named("nasbench201", {"width": 4, "cells": 1}),
    evaluator=Named("scratch", {"epochs": 1, "device": "cpu"}),
    always=(CELL,),
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def experienced(tmp_path_factory: pytest.TempPathFactory) -> tuple[MemoryStore, list[Trial]]:
    """A store after a first build, and the trials the build told of."""
    folder = tmp_path_factory.mktemp("built")
    store, told = MemoryStore(), list[Trial]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METANAS_CACHE", str(folder / "cache"))
        assert built(store, folder, told) == 4
    return store, told


def built(store: MemoryStore, tmp_path: Path, sink: list[Trial]) -> int:
    return experience.build(
        SETTINGS,
        store,
        checkpoints=tmp_path / "checkpoints",
        progress=lambda done, total, what: None,
        sink=sink.append,
    )


def test_the_same_architectures_are_trained_on_every_task(
    experienced: tuple[MemoryStore, list[Trial]],
) -> None:
    store, told = experienced
    seen = {(trial.task, trial.architecture) for trial in told}
    architectures = {architecture for _, architecture in seen}
    assert NasBench201().parse(CELL) in architectures
    assert seen == {(task, each) for task in ("one", "two") for each in architectures}
    assert sorted(map(hash, store.trials())) == sorted(map(hash, told))
    assert all(task.dcn is not None for task in store.tasks())


def test_what_is_known_is_not_trained_again(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, told = experienced
    assert built(store, tmp_path, told) == 0
    assert len(list(store.trials())) == 4


def test_further_seeds_train_the_first_architectures_only(tmp_path: Path) -> None:
    repeated = replace(SETTINGS, seeds=(0, 7), repeated=1, tasks=SETTINGS.tasks[:1])
    store, told = MemoryStore(), list[Trial]()
    steps: list[tuple[int, int]] = []
    experience.build(
        repeated,
        store,
        checkpoints=tmp_path,
        progress=lambda done, total, what: steps.append((done, total)),
        spread=_here,
        sink=told.append,
    )
    first, second = experience.draw(NasBench201(), repeated)
    assert [(trial.architecture, trial.seed) for trial in told] == [
        (first, 0),
        (first, 7),
        (second, 0),
    ]
    assert steps[-4:] == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_those_trained_together_are_one_step_of_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fused, "gain", lambda *given: 0.5)
    store = MemoryStore()
    one = replace(SETTINGS, tasks=SETTINGS.tasks[:1], architectures=1, together=2)
    built_here(one, store, tmp_path)
    steps: list[tuple[int, int]] = []
    experience.build(
        replace(one, architectures=4),
        store,
        checkpoints=tmp_path,
        progress=lambda done, total, what: steps.append((done, total)),
        spread=_here,
    )
    assert steps == [(1, 4), (2, 4), (4, 4)]


def asked_for(settings: ExperienceSettings) -> list[experience.Job]:
    """What a build into an empty store would train."""
    jobs: list[experience.Job] = []

    def noted(run: object, asked: Iterable[experience.Job]) -> Generator[experience.Finished]:
        jobs.extend(asked)
        yield from ()

    built_here(settings, MemoryStore(), Path(), spread=noted)
    return jobs


def test_a_task_may_be_repeated_more_than_others() -> None:
    one, two = SETTINGS.tasks
    more = replace(SETTINGS, seeds=(0, 7), repeated=0, tasks=(one, replace(two, repeated=1)))
    jobs = asked_for(more)
    first = experience.draw(NasBench201(), more)[0]
    again = [(job.task.name, job.architectures) for job in jobs if job.seed == 7]
    assert again == [("two", (first,))]
    assert len([job for job in jobs if job.seed == 0]) == 4
    with pytest.raises(ValueError, match="repeated must be from 0 to the 2"):
        replace(SETTINGS, tasks=(replace(one, repeated=3), two))


def test_each_further_seed_may_train_as_many_as_it_likes() -> None:
    one, two = SETTINGS.tasks
    own = replace(two, seeds=(0, 3, 9), repeated=(2, 1))
    jobs = asked_for(replace(SETTINGS, tasks=(one, own)))
    assert [len(job.architectures) for job in jobs if job.seed == 3] == [1, 1]
    assert [len(job.architectures) for job in jobs if job.seed == 9] == [1]
    with pytest.raises(ValueError, match="one for each of the 2 further seeds of two, got 1"):
        replace(SETTINGS, tasks=(one, replace(own, repeated=(2,))))
    with pytest.raises(ValueError, match="repeated must be from 0 to the 2"):
        replace(SETTINGS, tasks=(one, replace(own, repeated=(2, 3))))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"always": ("foo",)}, "foo"),
        ({"evaluator": Named("scratch", {"epochs": 0})}, "need one epoch"),
        ({"architectures": 40_000}, "40,?000"),
    ],
)
def test_wrong_settings_register_no_task(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    store = MemoryStore()
    with pytest.raises(ValueError, match=said):
        built_here(replace(SETTINGS, **wrong), store, tmp_path)
    assert not list(store.tasks())


def test_a_missing_folder_is_told_before_any_task_is_registered(tmp_path: Path) -> None:
    store = MemoryStore()
    missing = TaskSettings("photos", str(tmp_path / "none"), "image_folder")
    for kind in ("image_folder", None):
        tasks = (SETTINGS.tasks[0], replace(missing, kind=kind))
        with pytest.raises(FileNotFoundError, match="need an existing file or folder"):
            built_here(replace(SETTINGS, tasks=tasks), store, tmp_path)
    assert not list(store.tasks())


def test_a_task_that_another_build_registers_meanwhile_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    register = experience.register

    def slower(name: str, data: str, *, kind: str | None) -> Task:
        made = register(name, data, kind=kind)
        store.add_task(replace(made, features={**made.features, "noted": 1.0}))
        return made

    monkeypatch.setattr(experience, "register", slower)
    assert built_here(SETTINGS, store, tmp_path) == 4
    assert all(task.features["noted"] == 1.0 for task in store.tasks())


def test_all_that_is_always_wanted_is_trained() -> None:
    wanted = ("|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", CELL)
    few = replace(SETTINGS, architectures=1, always=wanted, tasks=SETTINGS.tasks[:1])
    jobs = asked_for(few)
    assert sum(len(job.architectures) for job in jobs) == 2


def test_a_task_may_have_seeds_of_its_own() -> None:
    one, two = SETTINGS.tasks
    more = replace(SETTINGS, seeds=(0, 7), repeated=1, tasks=(one, replace(two, seeds=(0, 3, 9))))
    jobs = asked_for(more)
    first, second = experience.draw(NasBench201(), more)
    asked = {(job.task.name, job.seed, each) for job in jobs for each in job.architectures}
    assert asked == {
        ("one", 0, first),
        ("one", 0, second),
        ("one", 7, first),
        ("two", 0, first),
        ("two", 0, second),
        ("two", 3, first),
        ("two", 9, first),
    }
    for wrong, why in (((), "need a seed"), ((3, 3), "seeds must differ"), ((-1,), "a seed lies")):
        with pytest.raises(ValueError, match=why):
            replace(SETTINGS, tasks=(one, replace(two, seeds=wrong)))


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_architectures_train_together_where_that_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gain: float
) -> None:
    monkeypatch.setattr(Fused, "gain", lambda self, architectures, task: gain)
    fused: list[int] = []
    run = Fused.run

    def counted(self: Fused, architectures: tuple[Architecture, ...], *a: Any, **b: Any) -> Any:
        fused.append(len(architectures))
        return run(self, architectures, *a, **b)

    monkeypatch.setattr(Fused, "run", counted)
    told: dict[int, list[Trial]] = {}
    for together in (1, 2):
        settings = replace(SETTINGS, architectures=3, together=together)
        told[together] = []
        experience.build(
            settings,
            MemoryStore(),
            checkpoints=tmp_path / str(together),
            progress=lambda done, total, what: None,
            spread=_here,
            sink=told[together].append,
        )
    assert fused == ([2, 2] if gain > 1 else [])
    assert not list(tmp_path.rglob("*.pt"))
    alone, grouped = (
        {(trial.task, trial.architecture, trial.seed): trial for trial in told[together]}
        for together in (1, 2)
    )
    assert alone.keys() == grouped.keys()
    for identity, trial in alone.items():
        other = grouped[identity]
        assert other.state is trial.state
        assert other.extras["params"] == trial.extras["params"]
        assert other.extras["train_loss"] == pytest.approx(trial.extras["train_loss"], rel=1e-3)


def test_a_group_that_was_begun_alone_goes_on_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(
        SETTINGS,
        tasks=SETTINGS.tasks[:1],
        architectures=3,
        together=3,
        evaluator=SETTINGS.evaluator.but(epochs=2),
    )
    trained: list[int] = []
    train_epoch = Run._train_epoch

    def cut_off(self: Run, epoch: int) -> None:
        if len(trained) == 3:  # in the second of three trainings
            raise KeyboardInterrupt
        trained.append(epoch)
        train_epoch(self, epoch)

    store = MemoryStore()
    with monkeypatch.context() as patch:
        patch.setattr(Fused, "gain", lambda *given: 0.98)
        patch.setattr(Run, "_train_epoch", cut_off)
        with pytest.raises(KeyboardInterrupt):
            built_here(settings, store, tmp_path)

    def counted(self: Run, epoch: int) -> None:
        trained.append(epoch)
        train_epoch(self, epoch)

    monkeypatch.setattr(Fused, "gain", lambda *given: 1.02)
    monkeypatch.setattr(Run, "_train_epoch", counted)
    assert built_here(settings, store, tmp_path) == 3
    assert trained == [1, 2, 1, 2, 1, 2]
    assert not list(tmp_path.rglob("*.pt"))


def test_a_group_that_runs_out_of_memory_is_trained_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train_epoch = FusedRun._train_epoch

    def full(self: FusedRun, epoch: int) -> None:
        if epoch == 2:
            raise torch.OutOfMemoryError("out of memory")
        train_epoch(self, epoch)

    monkeypatch.setattr(Fused, "gain", lambda *given: 2.0)
    monkeypatch.setattr(FusedRun, "_train_epoch", full)
    evaluator = SETTINGS.evaluator.but(epochs=2)
    settings = replace(SETTINGS, tasks=SETTINGS.tasks[:1], together=2, evaluator=evaluator)
    assert built_here(settings, MemoryStore(), tmp_path) == 2
    assert "no memory for 2 architectures at once on one" in caplog.text
    assert "`together`" in caplog.text
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("begun", [False, True])
def test_a_group_that_finds_no_room_on_the_device_is_trained_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, begun: bool
) -> None:
    evaluator = SETTINGS.evaluator.but(epochs=2)
    settings = replace(SETTINGS, tasks=SETTINGS.tasks[:1], together=2, evaluator=evaluator)
    store = MemoryStore()
    monkeypatch.setattr(Fused, "gain", lambda *given: 2.0)
    if begun:
        with monkeypatch.context() as patch:
            patch.setattr(FusedRun, "_train_epoch", _once(FusedRun._train_epoch))
            with pytest.raises(KeyboardInterrupt):
                built_here(settings, store, tmp_path)
        assert list(tmp_path.glob("*.pt"))

    def full(self: FusedCells, *a: Any, **b: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(FusedCells, "_apply", full)
        patch.setattr(Run, "_train_epoch", _once(Run._train_epoch))
        with pytest.raises(KeyboardInterrupt):
            built_here(settings, store, tmp_path)
    assert caplog.text.count("no memory for 2 architectures at once on one") == 1
    assert "`together`" in caplog.text
    # What was begun one at a time goes on so, also where there is room again.
    monkeypatch.setattr(FusedRun, "_train_epoch", None)
    assert built_here(settings, store, tmp_path) == 2
    assert not list(tmp_path.rglob("*.pt"))


def _once(train_epoch: Callable[..., None]) -> Callable[..., None]:
    """One epoch is trained, then the build cut off."""

    def cut_off(self: Any, epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt
        train_epoch(self, epoch)

    return cut_off


def test_a_group_too_large_to_be_timed_is_told_and_trained_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*given: Any) -> float:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Fused, "gain", full)
    settings = replace(SETTINGS, tasks=SETTINGS.tasks[:1], together=2)
    assert built_here(settings, MemoryStore(), tmp_path) == 2
    assert "no memory for 2 architectures at once on one" in caplog.text


def test_networks_that_cannot_be_fused_are_trained_alone(tmp_path: Path) -> None:
    told: list[Trial] = []
    settings = replace(
        SETTINGS,
        space=Named("darts", {"width": 4}),
        always=(),
        together=2,
        tasks=SETTINGS.tasks[:1],
    )
    built_here(settings, MemoryStore(), tmp_path, sink=told.append)
    assert [trial.architecture.space for trial in told] == ["darts", "darts"]


def test_another_experiment_under_the_same_names_is_an_error(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, _ = experienced
    longer = replace(SETTINGS, evaluator=SETTINGS.evaluator.but(epochs=2))
    wider = replace(SETTINGS, space=SETTINGS.space.but(width=8))
    slower = replace(SETTINGS, evaluator=SETTINGS.evaluator.but(lr=0.01))
    other = replace(SETTINGS.tasks[0], data="gratings#n=60&size=12&ways=3")
    for settings, said in (
        (wider, "parameters on one where this space makes them of"),
        (longer, "has trials of 1 epochs on one; those of 2 need another source"),
        (slower, "has trials on one trained by another recipe; these need another source"),
        (replace(SETTINGS, tasks=(other,)), "task 'one' is known with synthetic data"),
    ):
        with pytest.raises(ValueError, match=said):
            built_here(settings, store, tmp_path)


def test_another_recipe_on_other_tasks_of_a_source_is_an_error(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, told = experienced
    grown = holding(store.tasks(), told)
    further = replace(SETTINGS, tasks=(replace(SETTINGS.tasks[0], name="three"),))
    slower = replace(further, evaluator=SETTINGS.evaluator.but(lr=0.01))
    with pytest.raises(ValueError, match="has trials on one trained by another recipe; these nee"):
        built_here(slower, grown, tmp_path)
    assert built_here(replace(slower, source="slower"), grown, tmp_path) == 2
    assert built_here(further, grown, tmp_path) == 2


def test_a_machine_without_the_device_can_lead_a_build(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    elsewhere = replace(SETTINGS, evaluator=SETTINGS.evaluator.but(device="cuda:7"), together=1)
    store, _ = experienced
    added = built_here(elsewhere, store, tmp_path)
    assert added == 0


def images(folder: Path, *, bright: bool, count: int = 8) -> str:
    """A folder of two classes, one above and one below a mean of 0.5; its location."""
    for name, grey in (("a", 160 if bright else 40), ("b", 220 if bright else 90)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (8, 8), grey + number).save(folder / name / f"{number}.png")
    return str(folder)


def of_folder(data: str, architectures: int) -> ExperienceSettings:
    tasks = (TaskSettings("photos", data),)
    return replace(SETTINGS, tasks=tasks, architectures=architectures, always=())


def test_a_known_tasks_images_are_read_where_the_settings_say(tmp_path: Path) -> None:
    old = images(tmp_path / "old" / "photos", bright=False)
    new = images(tmp_path / "new" / "photos", bright=False)
    store = MemoryStore()
    built_here(of_folder(old, 1), store, tmp_path)
    jobs: list[experience.Job] = []

    def noted(run: object, asked: Iterable[experience.Job]) -> Generator[experience.Finished]:
        jobs.extend(asked)
        yield from ()

    built_here(of_folder(new, 2), store, tmp_path, spread=noted)
    (job,) = jobs
    assert job.task.data == new
    shutil.rmtree(tmp_path / "old")
    assert built_here(of_folder(new, 2), store, tmp_path) == 1
    assert store.task("photos").data == old


def test_a_shipped_tasks_images_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = images(tmp_path / "photos", bright=True)
    store = MemoryStore()
    built_here(of_folder(data, 1), store, tmp_path)
    shipped = holding([replace(store.task("photos"), data="photos")], store.trials())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert built_here(of_folder("../photos", 2), shipped, tmp_path) == 1


def test_other_images_than_a_task_is_known_with_are_refused(tmp_path: Path) -> None:
    store = MemoryStore()
    built_here(of_folder(images(tmp_path / "photos", bright=True), 1), store, tmp_path)
    more = images(tmp_path / "new" / "photos", bright=True, count=9)
    said = r"'photos' is known with 16 images of 2 classes .* holds 18 images of 2 classes [^\n]*$"
    with pytest.raises(ValueError, match=said):
        built_here(of_folder(more, 2), store, tmp_path)
    with pytest.raises(FileNotFoundError, match="not on this machine"):
        built_here(of_folder(str(tmp_path / "none" / "photos"), 2), store, tmp_path)
    as_many = of_folder(images(tmp_path / "other" / "photos", bright=False), 2)
    with pytest.raises(ValueError, match="has trials on photos trained on other images"):
        built_here(as_many, store, tmp_path)
    assert built_here(replace(as_many, source="others"), store, tmp_path) == 2


@pytest.mark.parametrize(
    ("changed", "photos", "said"),
    [
        ({}, None, "not on this machine"),
        ({}, {"bright": True, "count": 9}, "is known with 16 images .* holds 18 images"),
        ({}, {"bright": False}, "trained on other images"),
        ({"lr": 0.01}, {"bright": True}, "trained by another recipe"),
        ({"epochs": 2}, {"bright": True}, "has trials of 1 epochs on photos"),
    ],
)
def test_a_build_that_is_refused_registers_no_task(
    tmp_path: Path, changed: dict[str, Any], photos: dict[str, Any] | None, said: str
) -> None:
    store = MemoryStore()
    first = of_folder(images(tmp_path / "photos", bright=True), 1)
    built_here(first, store, tmp_path)
    before = store.tasks()
    other = tmp_path / "other" / "photos"
    if photos is not None:
        images(other, **photos)
    refused = replace(
        first,
        tasks=(SETTINGS.tasks[0], TaskSettings("photos", str(other)), SETTINGS.tasks[1]),
        architectures=2,
        evaluator=first.evaluator.but(**changed),
    )
    with pytest.raises((ValueError, OSError), match=said):
        built_here(refused, store, tmp_path)
    assert store.tasks() == before


def test_all_new_tasks_are_looked_at_before_one_is_registered(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    _, told = experienced
    # Trials of the second task came with a table: what it is, is not known until it is read.
    store = holding([Task.table("two")], [each for each in told if each.task == "two"])
    wider = replace(SETTINGS, space=SETTINGS.space.but(width=8))
    with pytest.raises(ValueError, match="parameters on two where this space makes them of"):
        built_here(wider, store, tmp_path)
    assert store.tasks() == [Task.table("two")]


def test_images_that_cannot_be_read_register_no_task(tmp_path: Path) -> None:
    store = MemoryStore()
    broken = Path(images(tmp_path / "photos", bright=True))
    for file in broken.rglob("*.png"):
        file.write_bytes(b"none")
    tasks = (*SETTINGS.tasks, TaskSettings("photos", str(broken)))
    with pytest.raises(ValueError, match="photos"):
        built_here(replace(SETTINGS, tasks=tasks), store, tmp_path)
    assert not list(store.tasks())


def test_trials_from_before_they_told_recipe_and_images_are_gone_on_with(tmp_path: Path) -> None:
    data = images(tmp_path / "photos", bright=True)
    store = MemoryStore()
    built_here(of_folder(data, 1), store, tmp_path)
    (trial,) = store.trials()
    told = {name: each for name, each in trial.extras.items() if not name.endswith("_mark")}
    assert len(told) == len(trial.extras) - 2
    older = holding(store.tasks(), [replace(trial, extras=told)])
    assert built_here(of_folder(data, 2), older, tmp_path) == 1


def built_here(
    settings: ExperienceSettings,
    store: MemoryStore,
    tmp_path: Path,
    *,
    spread: Spread | None = None,
    sink: Callable[[Trial], object] = lambda trial: None,
) -> int:
    """Without processes, by default."""
    return experience.build(
        settings,
        store,
        checkpoints=tmp_path,
        progress=lambda done, total, what: None,
        spread=spread or _here,
        sink=sink,
    )


def _here(
    run: Callable[[experience.Job], experience.Finished], jobs: Iterable[experience.Job]
) -> Generator[experience.Finished]:
    yield from map(run, jobs)


def test_what_is_exported_is_what_a_new_store_starts_with(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, _ = experienced
    assert experience.export(store, ["tests"], tmp_path) == 4
    shipped = [trial for batch in reference_batches(tmp_path) for trial in batch]
    assert shipped == list(store.trials())
    assert reference_tasks(tmp_path) == store.tasks()


def holding(tasks: Iterable[Task], trials: Iterable[Trial]) -> MemoryStore:
    """A store of these."""
    store = MemoryStore()
    for task in tasks:
        store.add_task(task)
    store.add_trials(trials)
    return store


def test_where_the_data_lay_is_not_exported(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, _ = experienced
    tasks = [replace(task, data=f"/somewhere/secret/{task.data}") for task in store.tasks()]
    moved = holding(tasks, store.trials())
    experience.export(moved, ["tests"], tmp_path)
    text = (tmp_path / "tasks.json").read_text()
    assert "secret" not in text
    assert json.loads(text)[0]["data"] == "gratings#n=60&size=8&ways=3"


def test_sources_exported_together_keep_all_their_tasks(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, told = experienced
    trials = [replace(trial, source=f"on-{trial.task}") for trial in told]
    both = holding(store.tasks(), trials)
    assert experience.export(both, ["on-two", "on-one"], tmp_path) == 4
    tables = [{trial.task for trial in batch} for batch in reference_batches(tmp_path)]
    assert tables == [{"one"}, {"two"}]
    assert reference_tasks(tmp_path) == store.tasks()


def test_sources_exported_one_after_the_other_keep_all_their_tasks(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, told = experienced
    both = holding(store.tasks(), [replace(each, source=f"on-{each.task}") for each in told])
    for source in ("on-two", "on-one", "on-two"):
        experience.export(both, [source], tmp_path)
    assert reference_tasks(tmp_path) == store.tasks()
    (tmp_path / "tasks.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"tasks\.json holds no tasks"):
        experience.export(both, ["on-one"], tmp_path)


def test_tasks_of_tables_that_stay_in_a_folder_are_replaced_by_no_others(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, told = experienced
    experience.export(store, ["tests"], tmp_path)
    before = (tmp_path / "tasks.json").read_text()
    theirs = holding(
        [replace(each, n_samples=7) for each in store.tasks()],
        [replace(each, source="theirs") for each in told],
    )
    said = r"knows task 'one' otherwise than this store; choose another folder$"
    with pytest.raises(ValueError, match=said):
        experience.export(theirs, ["theirs"], tmp_path)
    assert (tmp_path / "tasks.json").read_text() == before
    assert not (tmp_path / "theirs.parquet").exists()
    (tmp_path / "tests.parquet").unlink()
    with (tmp_path / "tasks.json").open() as read_meanwhile:
        experience.export(theirs, ["theirs"], tmp_path)
        assert read_meanwhile.read() == before
    assert reference_tasks(tmp_path) == theirs.tasks()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tasks.json", "theirs.parquet"]


def test_a_task_measured_on_another_machine_is_the_same_task(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, told = experienced
    experience.export(store, ["tests"], tmp_path)
    measured = [replace(each, dcn=0.123, features={"channels": 1.0}) for each in store.tasks()]
    later = holding(measured, [replace(each, source="later") for each in told])
    experience.export(later, ["later"], tmp_path)
    assert reference_tasks(tmp_path) == measured


def test_a_task_known_as_a_table_gets_its_data_from_a_later_source(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, told = experienced
    bare = holding([Task.table(each.name) for each in store.tasks()], told)
    experience.export(bare, ["tests"], tmp_path)
    later = holding(store.tasks(), [replace(each, source="later") for each in told])
    experience.export(later, ["later"], tmp_path)
    assert reference_tasks(tmp_path) == store.tasks()


@pytest.mark.parametrize("source", ["tests", "later"])
@pytest.mark.parametrize(
    "less", [lambda task: Task.table(task.name), lambda task: replace(task, dcn=None, features={})]
)
def test_what_a_folder_knows_of_a_task_beyond_the_store_stays_in_it(
    experienced: tuple[MemoryStore, list[Trial]],
    tmp_path: Path,
    less: Callable[[Task], Task],
    source: str,
) -> None:
    store, told = experienced
    experience.export(store, ["tests"], tmp_path)
    bare = holding(map(less, store.tasks()), [replace(each, source=source) for each in told])
    assert experience.export(bare, [source], tmp_path) == 4
    assert reference_tasks(tmp_path) == store.tasks()


def test_a_folder_in_place_of_the_tasks_is_told_before_anything_is_written(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    (tmp_path / "tasks.json").mkdir()
    with pytest.raises(IsADirectoryError):
        experience.export(experienced[0], ["tests"], tmp_path)
    assert not list(tmp_path.glob("*.parquet"))


def test_a_source_that_names_another_folder_is_refused_before_anything_is_written(
    experienced: tuple[MemoryStore, list[Trial]], tmp_path: Path
) -> None:
    store, told = experienced
    other = holding(store.tasks(), [*told, replace(told[0], source="../elsewhere")])
    with pytest.raises(ValueError, match=r"name a file, got '\.\./elsewhere'"):
        experience.export(other, ["tests", "../elsewhere"], tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_build_whose_tasks_name_their_kind_goes_on(tmp_path: Path) -> None:
    settings = replace(
        SETTINGS,
        architectures=1,
        tasks=(TaskSettings("one", f"synthetic:{SETTINGS.tasks[0].data}"),),
    )
    store = MemoryStore()
    for added in (1, 0):
        made = built_here(settings, store, tmp_path)
        assert made == added


def test_a_source_without_trials_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need trials of source 'tests'"):
        experience.export(MemoryStore(), ["tests"], tmp_path)


def test_drawn_architectures_compute_different_things() -> None:
    space = NasBench201()
    drawn = experience.draw(space, replace(SETTINGS, architectures=300))
    assert len({space.canonical(each) for each in drawn}) == 300
    assert drawn == experience.draw(space, replace(SETTINGS, architectures=300))


def test_more_architectures_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="has not 3"):
        experience.draw(_Tiny(), replace(SETTINGS, architectures=3, always=()))


@pytest.mark.parametrize("listed", [True, False])
def test_a_space_that_is_used_up_is_told_soon(listed: bool) -> None:
    drawn = 0

    class Two(NasBench201):
        def suggest(self, chooser: Chooser) -> Architecture:
            nonlocal drawn
            drawn += 1
            return self.parse(CELL if chooser.suggest_int("n", 0, 1) else OTHER)

        def enumerate(self) -> Any:
            return [self.parse(CELL), self.parse(OTHER)] if listed else None

    settings = replace(SETTINGS, architectures=1000, always=())
    with pytest.raises(ValueError, match="has not 1000 different architectures, found 2"):
        experience.draw(Two(), settings)
    assert drawn < 5000


def test_all_of_a_space_that_can_be_listed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lopsided(NasBench201):
        def suggest(self, chooser: Chooser) -> Architecture:
            return self.parse(OTHER if chooser.suggest_int("n", 0, 99) == 7 else CELL)

        def enumerate(self) -> Any:
            return [self.parse(CELL), self.parse(OTHER)]

    monkeypatch.setattr(different, "IN_VAIN", 3)
    settings = replace(SETTINGS, architectures=2, always=())
    assert len(experience.draw(Lopsided(), settings)) == 2


class _Tiny(NasBench201):
    def suggest(self, chooser: object) -> object:
        return self.parse(CELL)
