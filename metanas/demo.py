"""All journeys one after the other on one new task, every number measured on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from metadata_store.records import Architecture, Task, Trial
from metadata_store.store import MetadataStore
from metanas.assemble import (
    long_enough,
    make_evaluator,
    make_predictor,
    make_space,
    run_zero_shot,
    source_of,
)
from metanas.distribute.drive import search_here
from metanas.distribute.job import Job, prepare
from metanas.experience import Progress, build
from metanas.few_shot import Adapted, adapt, fitted, source_for
from metanas.meta_shelf import fetch, label
from metanas.protocols import SearchSpace
from metanas.report import task_report
from metanas.search.storage import open_storage, quiet
from metanas.search_report import search_report
from metanas.settings import DemoSettings, FewShotSettings
from metanas.spaces.random_chooser import RandomChooser
from metanas.train import train
from metanas.warm_start import Search, result
from metanas.zero_shot import ZeroShot
from tasks.load import prepare as load
from tasks.register import register


@dataclass(frozen=True)
class Demo:
    """What a demo measured.

    Attributes:
        picked: the first recommendation, trained.
        random: an architecture drawn at random, trained the same way.
        search: a short one, started from what other tasks taught; None where not asked for.
        few_shot: a meta-architecture adapted to a few images; None where not asked for.
        report: the HTML file; that of the search is beside it.
    """

    task: Task
    space: SearchSpace
    zero_shot: ZeroShot
    picked: Trial
    random: Trial
    search: Search | None
    few_shot: Adapted | None
    report: Path


def demo(
    settings: DemoSettings,
    store: MetadataStore,
    folder: Path,
    *,
    url: str,
    say: Callable[[str], None],
    progress: Progress,
) -> Demo:
    """Registers the task, recommends, trains the first pick and a random one, reports.

    Args:
        store: learned from and written to; the task must be new in it.
        folder: for everything written, with ``report.html``.
        url: of the store.
        say: told what happens next.

    Raises:
        ValueError: a setting does not fit, or the task exists.
    """
    # Not the usual folder: a demo measures anew what an earlier one had trained.
    checkpoints = folder / "checkpoints"
    if settings.experience is not None:
        say("Making experience on other tasks")
        build(
            settings.experience,
            store,
            checkpoints=checkpoints,
            progress=progress,
        )
    data = settings.task.data
    if settings.digits:
        say("Writing scikit-learn's 1,797 handwritten digits as a folder of images")
        location = folder / data.partition("#")[0]
        write_digits(location)
        data = str(folder / data)
    say(f"Registering {settings.task.name}: reading, splitting, characterising")
    task = register(settings.task.name, data, kind=settings.task.kind, progress=progress)
    store.add_task(task)
    space = make_space(settings.zero_shot.space, store)
    say("Asking for an architecture: none is trained")
    predictor = make_predictor(settings.zero_shot.predictor, space, seed=settings.zero_shot.seed)
    found = run_zero_shot(settings.zero_shot, store, task, space, predictor)
    first = found.recommendations[0].architecture
    drawn = _another(space, first, settings.train.seed)
    asked = replace(settings.train, space=settings.zero_shot.space)
    asked = replace(asked, evaluator=long_enough(asked.evaluator, space, task))
    trials = []
    for name, architecture in (("the first pick", first), ("a random one", drawn)):
        say(f"Training {name}: {space.format(architecture)}")
        evaluator = make_evaluator(asked.evaluator, space, checkpoints=checkpoints)
        trained = train(
            architecture,
            task,
            evaluator=evaluator,
            seed=asked.seed,
            source=source_of(asked, space, evaluator),
            progress=progress,
        )
        store.add_trials([trained.trial])
        trials.append(trained.trial)
    found_by_search = None
    if settings.search is not None:
        say(f"Searching: {settings.search.budget} trainings, the first chosen by other tasks")
        job = Job(settings.search, task.name, "demo", url, checkpoints)
        found_by_search = _search(job, store, folder / "search.html", progress)
    adapted = None
    if settings.few_shot is not None:
        say(
            f"Adapting to {settings.few_shot.shots} images of each of "
            f"{settings.few_shot.classes} digits, with what was meta-learned on other drawings"
        )
        adapted = _adapted(settings.few_shot, folder / "few-digits", progress)
        store.add_trials([adapted.trial])
    say("Writing the report")
    report = folder / "report.html"
    report.write_text(task_report(settings.zero_shot, store, task, space).html(), encoding="utf-8")
    return Demo(task, space, found, trials[0], trials[1], found_by_search, adapted, report)


def _search(job: Job, store: MetadataStore, report: Path, progress: Progress) -> Search:
    quiet()
    budget = job.settings.budget
    with open_storage(job.store) as storage:
        prepared = prepare(job, store, storage)
        search_here(prepared, lambda now: progress(now.ended, budget, now.text))
        found = result(prepared.study)
        made = search_report(found, store, prepared.space)
        report.write_text(made.html(), encoding="utf-8")
        return found


def _adapted(settings: FewShotSettings, folder: Path, progress: Progress) -> Adapted:
    """The meta-architecture adapted to a small folder written for it."""
    meta = fetch(settings.meta)
    digits = range(10 - settings.classes, 10)
    write_digits(folder, only=digits, each=settings.shots + settings.judged)
    bare = Task(folder.name, "image_folder", str(folder), 0, None, (), None, {})
    task = fitted(bare, meta)
    return adapt(
        meta,
        task,
        load(task.kind, task.data, progress=progress),
        source=source_for(label(settings.meta, meta)),
        shots=settings.shots,
        progress=progress,
    )


def write_digits(folder: Path, *, only: Sequence[int] = range(10), each: int | None = None) -> None:
    """Writes scikit-learn's digits as PNG files, one folder a digit.

    Args:
        only: which digits.
        each: how many of each, the first ones; all of them by default.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    chosen = sorted(
        int(index) for digit in only for index in np.flatnonzero(digits.target == digit)[:each]
    )
    for index in chosen:
        image, label = pixels[index], digits.target[index]
        file = folder / str(label) / f"{index:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)


def _another(space: SearchSpace, other: Architecture, seed: int) -> Architecture:
    """A random architecture that does not compute the same as `other`."""
    chooser = RandomChooser(np.random.default_rng(seed))
    while True:
        drawn = space.suggest(chooser)
        if space.canonical(drawn) != space.canonical(other):
            return drawn
