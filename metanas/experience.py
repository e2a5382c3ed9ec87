"""Making experience: the same random architectures trained on a list of tasks.

What a build has finished it skips, so it may be interrupted at any moment and
started again; what was in training goes on from its last epoch. Architecture after
architecture goes through all tasks, so that an unfinished build is balanced too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

from metadata_store.batch import Trials
from metadata_store.errors import DuplicateTask, UnknownTask
from metadata_store.records import TABLE_KIND, Architecture, Task, Trial, TrialState
from metadata_store.reference import TASKS, reference_tables, reference_tasks
from metadata_store.store import MetadataStore, completes
from metadata_store.table import whole, write_table
from metanas.assemble import make_evaluator, space_by_name
from metanas.distribute.spread import Processes, Spread
from metanas.evaluators.fused import Fused
from metanas.evaluators.scratch import IMAGES, MARKS, RECIPE, image_mark
from metanas.networks.fused_cells import NotAlike
from metanas.protocols import SearchSpace
from metanas.settings import ExperienceSettings, Named, TaskSettings, check_source
from metanas.spaces.different import different
from metanas.train import Trained, train, train_together
from tasks.load import TaskData, images_of
from tasks.register import location_of, register, relocated, require_data

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is going on."""

TOGETHER = 64
"""Architectures trained at once on a GPU, where that is faster."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Trainings on one task with one seed; everything a worker process needs.

    Attributes:
        marks: extras of every trial, see `MARKS`; told by who leads the build, since another
            machine's libraries may read an image a shade otherwise.
    """

    task: Task
    architectures: tuple[Architecture, ...]
    seed: int
    source: str
    space: Named
    evaluator: Named
    checkpoints: Path
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """What a job made.

    Attributes:
        trials: in the order of its architectures.
        checkpoints: files that nobody needs once the trials are stored.
    """

    trials: tuple[Trial, ...]
    checkpoints: frozenset[Path]


def build(
    settings: ExperienceSettings,
    store: MetadataStore,
    *,
    checkpoints: Path,
    progress: Progress,
    spread: Spread | None = None,
    sink: Callable[[Trial], object] = lambda trial: None,
) -> int:
    """Trains what is missing; trials go to the store as their job ends, then to `sink`.

    Args:
        checkpoints: folder for trainings that are under way; those that ended on this
            machine leave nothing there.
        spread: where trainings run; by default one after the other in a process.

    Returns:
        How many trials were added.

    Raises:
        ValueError: a task or architecture cannot be read or built, or a known task's images
            are not those it is known with.
        OSError: a task's images are not where the settings say.
        WorkerDied: a process that trained is gone.
    """
    space = space_by_name(settings.space)
    # Told how many to train together, this machine need not have the device that trains.
    asked = settings.evaluator
    evaluator = make_evaluator(asked.but(device="cpu") if settings.together else asked, space)
    size = settings.together or (1 if evaluator.device.type == "cpu" else TOGETHER)
    chosen = draw(space, settings)
    # What the store knows can refuse a build, and so can images: until all of both is looked at
    # the store stays as it is.
    stored = {wanted.name: _stored(wanted, store) for wanted in settings.tasks}
    for wanted in settings.tasks:
        if stored[wanted.name] is None:
            require_data(wanted.data, wanted.kind)
    made = store.batch().where(source=settings.source)
    known = _known(settings.source, evaluator.recipe.epochs, store, stored)
    for task in filter(None, stored.values()):
        _check_size(made, space, task)
    _check_mark(made, RECIPE, evaluator.recipe_mark)
    total = 0
    missing: list[tuple[str, int, tuple[Architecture, ...]]] = []
    # Groups are the same whatever is known already, so that one cut off is found again by its
    # checkpoint.
    trained = {wanted.name: settings.trained(wanted) for wanted in settings.tasks}
    places = range(max(map(len, trained.values())))
    for start, place in product(range(0, len(chosen), size), places):
        for name, seeds in trained.items():
            if place >= len(seeds):
                continue
            seed, limit = seeds[place]
            architectures = chosen[:limit][start : start + size]
            total += len(architectures)
            untrained = tuple(
                each for each in architectures if (name, each, seed, settings.source) not in known
            )
            if untrained:
                missing.append((name, seed, untrained))
    waiting = {name for name, _, _ in missing}
    marks = {
        name: _checked_image_mark(task, made)
        for name, task in stored.items()
        if task is not None and name in waiting
    }
    new = {}
    for wanted in settings.tasks:
        if stored[wanted.name] is None:
            progress(0, 1, f"registering {wanted.name}")
            task = register(wanted.name, wanted.data, kind=wanted.kind)
            _check_size(made, space, task)
            if wanted.name in waiting:
                marks[wanted.name] = _checked_image_mark(task, made)
            new[wanted.name] = task
    tasks = {
        wanted.name: stored[wanted.name] or _added(new[wanted.name], wanted, store)
        for wanted in settings.tasks
    }
    named = settings.source, settings.space, settings.evaluator
    jobs = [
        Job(
            tasks[name],
            architectures,
            seed,
            *named,
            checkpoints,
            {RECIPE: evaluator.recipe_mark, IMAGES: marks[name]},
        )
        for name, seed, architectures in missing
    ]
    done = total - sum(len(job.architectures) for job in jobs)
    added = 0
    progress(done, total, "training")
    with closing((spread or Processes(1))(run, jobs)) as finished:
        for ended in finished:
            added += store.add_trials(ended.trials)
            for path in ended.checkpoints:
                path.unlink(missing_ok=True)
            for trial in ended.trials:
                sink(trial)
            # Those trained together end at once: one of them after all that time is no pace.
            done += len(ended.trials)
            progress(done, total, f"{ended.trials[-1].task} {_best(ended.trials[-1])}")
    return added


def _known(source: str, epochs: int, store: MetadataStore, names: Iterable[str]) -> set[object]:
    """What is trained already on tasks of these names.

    Raises:
        ValueError: it was trained for another number of epochs.
    """
    known: set[object] = set()
    for name in names:
        for trial in store.trials(task=name):
            if trial.source != source:
                continue
            if trial.state is TrialState.COMPLETED and trial.curve.epochs[-1] != epochs:
                raise ValueError(
                    f"source {source!r} has trials of {trial.curve.epochs[-1]} epochs "
                    f"on {name}; those of {epochs} need another source or another store"
                )
            known.add(trial.identity)
    return known


def _check_mark(made: Trials, name: str, mark: float) -> None:
    """Raises ValueError: some of a source's trials have another."""
    marks = made.extra(name)
    others = made.take(np.isfinite(marks) & (marks != mark))
    if len(others):
        raise ValueError(
            f"source {others[0].source!r} has trials on {others[0].task} {MARKS[name]}; "
            f"these need another source or another store"
        )


def _check_size(made: Trials, space: SearchSpace, task: Task) -> None:
    """Raises ValueError: a source's trials on the task are of networks of another size."""
    found = made.where(task=task.name, space=space.name)
    sized = found.take(np.isfinite(found.extra("params")))
    if len(sized) == 0:
        return
    trial = sized[0]
    costs = space.costs([trial.architecture], task)
    if costs is None or costs.params[0] == trial.extras["params"]:
        return
    raise ValueError(
        f"source {trial.source!r} has networks of {trial.extras['params']:,.0f} parameters on "
        f"{task.name} where this space makes them of {costs.params[0]:,}; they need another "
        f"source or another store"
    )


def draw(space: SearchSpace, settings: ExperienceSettings) -> list[Architecture]:
    """The architectures: those always included, then random ones that compute otherwise."""
    always = map(space.parse, settings.always)
    return different(space, settings.architectures, seed=settings.seed, always=always)


def _stored(wanted: TaskSettings, store: MetadataStore) -> Task | None:
    """The task with its images where they lie here; None where it is yet to be registered."""
    try:
        known = store.task(wanted.name)
    except UnknownTask:
        return None
    return None if known.kind == TABLE_KIND else relocated(known, wanted.data, wanted.kind)


def _added(task: Task, wanted: TaskSettings, store: MetadataStore) -> Task:
    try:
        store.add_task(task)
    except DuplicateTask:
        # By another build, while this one read the images.
        known = _stored(wanted, store)
        if known is None:
            raise
        return known
    return task


def _checked_image_mark(task: Task, made: Trials) -> float:
    """What to tell of a task's images.

    Raises:
        ValueError: they are others than those it is known with, or a source's trials saw.
    """
    mark = image_mark(_known_images(task))
    _check_mark(made.where(task=task.name), IMAGES, mark)
    return mark


def _known_images(task: Task) -> TaskData:
    """The task's images.

    Raises:
        ValueError: others lie where they are looked for.
    """
    data = images_of(task)
    known = task.n_samples, task.n_classes, task.input_shape
    found = data.n_samples, len(data.classes), data.shape
    if known != found:
        told = ["{:,} images of {} classes and shape {}".format(*each) for each in (known, found)]
        raise ValueError(
            f"task {task.name!r} is known with {told[0]}, {task.data} holds {told[1]}; "
            f"choose another name or store"
        )
    return data


def run(job: Job) -> Finished:
    """One job, in whatever process: together where that is faster, measured on the task."""
    space = space_by_name(job.space)
    evaluator = make_evaluator(job.evaluator, space, checkpoints=job.checkpoints)
    told = {"evaluator": evaluator, "seed": job.seed, "source": job.source}
    trained: list[Trained] = []
    if len(job.architectures) > 1:
        try:
            if _together(Fused(evaluator), job):
                trained = train_together(job.architectures, job.task, **told)
        except torch.OutOfMemoryError:
            log.warning(
                "no memory for %d architectures at once on %s: they are trained one at a time; "
                "a smaller `together` may be faster",
                len(job.architectures),
                job.task.name,
            )
    if not trained:
        # What was tried together is gone, but its memory is not given back by itself.
        torch.cuda.empty_cache()
        trained = [train(each, job.task, **told) for each in job.architectures]
    return Finished(
        tuple(replace(each.trial, extras={**each.trial.extras, **job.marks}) for each in trained),
        frozenset(each.checkpoint for each in trained if each.checkpoint is not None),
    )


def _together(fused: Fused, job: Job) -> bool:
    """Whether to train the architectures at once: as was begun, else where that is faster.

    Why: how fast either is differs from one measurement to the next, and a training that
    was begun the other way would be lost.

    Raises:
        torch.OutOfMemoryError: the device has no memory for all at once; no checkpoint of all is
            left.
    """
    alone, asked = fused.alone, job.architectures
    try:
        if fused.begun(asked, job.task, seed=job.seed):
            return True
        if any(alone.begun(each, job.task, seed=job.seed) for each in asked):
            return False
        return fused.gain(asked, job.task) > 1.0
    except NotAlike:
        return False


def _best(trial: Trial) -> str:
    return "failed" if trial.score is None else f"{trial.score:.3f}"


def export(store: MetadataStore, sources: Sequence[str], folder: Path) -> int:
    """Writes each source's trials as ``<source>.parquet``, and all their tasks as ``tasks.json``.

    Tasks that the folder has already stay in it, and so does what it knows of one beyond the
    store: its data, or its DCN and features.

    Of a task's data only the file's name and options are kept: the images are not
    shipped, and where they lay says nothing to others.

    Returns:
        How many trials were written.

    Raises:
        ValueError: a source has no trials, a name that no file can have, or the folder's tasks
            cannot be read or are, by the same names, others of tables that stay in it; nothing is
            written.
    """
    batch = store.batch()
    trials = {source: batch.where(source=source) for source in sources}
    for source, found in trials.items():
        if len(found) == 0:
            raise ValueError(f"need trials of source {source!r}, the store has none")
        check_source(source)
    names = sorted({name for found in trials.values() for name in found.present("task")})
    tasks = {name: _shipped(store.task(name)) for name in names}
    staying = any(table.stem not in trials for table in reference_tables(folder))
    for known in reference_tasks(folder):
        task = tasks.setdefault(known.name, known)
        same = _data(task) == _data(known)
        if completes(known, task) or (same and task.dcn is None and known.dcn is not None):
            tasks[known.name] = known
        elif staying and not same and not completes(task, known):
            raise ValueError(
                f"{folder} knows task {known.name!r} otherwise than this store; "
                f"choose another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for source, found in trials.items():
        write_table(folder / f"{source}.parquet", [found])
    listed = [_fields(tasks[name]) for name in sorted(tasks)]
    with whole(folder / TASKS) as file:
        file.write(f"{json.dumps(listed, indent=1)}\n".encode())
    return sum(map(len, trials.values()))


def _shipped(task: Task) -> Task:
    location = location_of(task.data)
    return replace(task, data=Path(location).name + task.data.removeprefix(location))


def _data(task: Task) -> Task:
    """Without what is measured on the data, which differs from machine to machine by rounding."""
    return replace(task, dcn=None, features={})


def _fields(task: Task) -> dict[str, object]:
    record = {each.name: getattr(task, each.name) for each in fields(task)}
    return {**record, "features": dict(task.features)}
