"""What a worker is told, and what it then does, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna

from metadata_store.batch import Trials
from metadata_store.records import TABLE_KIND, Task
from metadata_store.store import MetadataStore, open_store
from metanas.assemble import long_enough, make_measure, make_pruner, make_sampler, make_space
from metanas.evaluators.recipe import Recipe
from metanas.protocols import SearchSpace
from metanas.search.measured import Measure
from metanas.search.record import stored_searches
from metanas.search.storage import open_storage, patiently, quiet
from metanas.search.study import (
    Plan,
    as_json,
    new_study,
    open_study,
    recipe_of,
    study_names,
    trials_begun,
)
from metanas.search.worker import Work, work
from metanas.settings import NETWORK, Named, SearchSettings
from metanas.sources import as_ended, as_task, source_trials
from metanas.warm_start import begin

STOP = "metanas:stop"
"""Attribute of a study: the run of it whose workers are to end."""

OWN_PRIORS = 5
"""Priors for samplers that know nothing of other tasks."""


@dataclass(frozen=True)
class Job:
    """One worker's orders.

    Attributes:
        task: its name.
        study: name of one to begin or to go on with; None for a new one, see `prepare`.
        store: URL; the studies are beside it.
        checkpoints: folder for trainings under way; None for none.
        run: tells this run of the study from others, see `STOP`.
        worker: its number among the workers of all runs.
        threads: for training; None for what PyTorch chooses.
        learned: folder where what the pruner learns is kept; None for nowhere.
    """

    settings: SearchSettings
    task: str
    study: str | None
    store: str
    checkpoints: Path | None
    run: str = ""
    worker: int = 0
    threads: int | None = None
    learned: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """A job's names made into objects.

    Attributes:
        job: with the name of its study.
    """

    job: Job
    study: optuna.Study
    store: MetadataStore
    space: SearchSpace
    task: Task
    measure: Measure

    def work(
        self,
        *,
        interrupted: Callable[[], bool] = lambda: False,
        on_epoch: Callable[[int, float], None] = lambda epoch, value: None,
        on_trial: Callable[[], None] = lambda: None,
    ) -> None:
        """Runs trials until the budget is spent or until interrupted."""
        settings = self.job.settings
        share = Work(
            space=self.space,
            task=self.task,
            store=self.store,
            measure=self.measure,
            objectives=settings.objective,
            budget=settings.budget,
            seed=settings.seed,
            interrupted=interrupted,
            on_epoch=on_epoch,
            on_trial=on_trial,
        )
        work(self.study, share)


def prepare(job: Job, store: MetadataStore, storage: optuna.storages.BaseStorage) -> Prepared:
    """Opens the job's study, or makes it: last, so that wrong settings leave none behind.

    Raises:
        SettingsError: a name is unknown, or things named do not go together.
        ValueError: the study searches for something else, or is a new one and the store has
            trials of a search of its name.
        UnknownTask: the store lacks the task, and there is no oracle that knows it.
    """
    task = as_task(store, job.task) if job.settings.oracle else store.task(job.task)
    settings = _with_epochs(job, store, storage, task)
    job = replace(job, settings=settings)
    space, measure = make_measure(settings, store, task, checkpoints=job.checkpoints)
    neighbours, sources = source_trials(
        store,
        task,
        space.name,
        neighbours=settings.neighbours,
        exclude=settings.exclude,
        stopped=True,
    )
    scored = as_ended(sources)
    known = {each.task: store.task(each.task) for each in neighbours}
    # Each worker's own, and another when a study is resumed: nobody draws the same again.
    begun = 0 if job.study is None else trials_begun(storage, job.study)
    words = [settings.seed, job.worker, begun]
    seed = int(np.random.SeedSequence(words).generate_state(1)[0])
    sampler = make_sampler(
        settings,
        space,
        task,
        sources=scored,
        tasks={**known, task.name: task},
        seed=seed,
    )
    pruner = make_pruner(settings, space, task, sources=sources, learned=job.learned)
    plan = Plan(task.name, space.name, settings.objective, _recipe(settings))
    if job.study is None:
        taken = stored_searches(store, task.name)
        study = new_study(storage, plan, sampler, pruner, taken=taken)
    else:
        _refuse_anothers_name(job.study, store, storage, task)
        study = open_study(storage, job.study, plan, sampler, pruner)
    begin(
        study,
        space,
        neighbours=neighbours,
        sources=scored,
        priors=min(_priors(settings), settings.budget),
        learners=_learners(settings, space, scored=scored, curves=sources),
        settings=_shown(job, space),
        whole=job.worker == 0,
    )
    job = replace(job, study=study.study_name)
    return Prepared(job, study, store, space, task, measure)


def _with_epochs(
    job: Job, store: MetadataStore, storage: optuna.storages.BaseStorage, task: Task
) -> SearchSettings:
    """The job's settings; where they do not say how long to train, as its study has, or enough."""
    settings, given = job.settings, job.settings.evaluator.options
    if settings.oracle or task.kind == TABLE_KIND:
        return settings
    begun = None if job.study is None else recipe_of(storage, job.study)
    if begun is not None and "epochs" not in begun and given.get("epochs") == Recipe.epochs:
        # Its default, when searches did not yet tell their epochs.
        bare = {name: value for name, value in given.items() if name != "epochs"}
        return replace(settings, evaluator=Named(settings.evaluator.name, bare))
    if "epochs" in given:
        return settings
    if begun is not None:
        return replace(settings, evaluator=settings.evaluator.but(epochs=begun.get("epochs")))
    space = make_space(settings.space or NETWORK, store)
    return replace(settings, evaluator=long_enough(settings.evaluator, space, task))


def _refuse_anothers_name(
    name: str, store: MetadataStore, storage: optuna.storages.BaseStorage, task: Task
) -> None:
    """Refuses to begin a study of which the store has trials, say of a colleague's store.

    Why: a trial is known by task, architecture, seed and search, so that the new study's
    would pass for known ones and not be kept.
    """
    if name in study_names(storage) or name not in stored_searches(store, task.name):
        return
    # Another process may have begun it since the first look, and its trials are its own.
    if name not in study_names(storage):
        raise ValueError(
            f"the store has trials of a search {name!r} already, and no study to go on with; "
            f"choose another name"
        )


def run(job: Job) -> None:
    """A worker's whole life; ends when the budget is spent or the run is stopped."""
    run_until(job, lambda: False)


def run_until(job: Job, interrupted: Callable[[], bool]) -> None:
    """As `run`, and ends when `interrupted` says so."""
    _share_threads(job.threads)
    quiet()
    with open_store(job.store) as store, open_storage(job.store) as storage:
        prepared = prepare(job, store, storage)

        def ends() -> bool:
            attributes = patiently(lambda: prepared.study.user_attrs)
            return interrupted() or attributes.get(STOP) == job.run

        prepared.work(interrupted=ends)


def _share_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _priors(settings: SearchSettings) -> int:
    from metanas.search.named import SAMPLERS

    if settings.priors is not None:
        return settings.priors
    # Strategies are given the sources and make of them what they can.
    return OWN_PRIORS if settings.chosen_sampler.name in SAMPLERS else 0


def _learners(
    settings: SearchSettings, space: SearchSpace, *, scored: Trials, curves: Trials
) -> list[str]:
    """What learns from other tasks' trials by itself, some of `metanas.warm_start.LEARNERS`.

    Args:
        scored: what the sampler is given.
        curves: what the pruner is given.
    """
    from metanas.rankers.lcranknet import teaches
    from metanas.search.named import SAMPLERS
    from metanas.strategies import COLD

    cold = settings.chosen_sampler.name in {*SAMPLERS, *COLD}
    learns = {
        "sampler": not cold and len(scored) > 0,
        "pruner": settings.chosen_pruner.name == "lcranknet" and teaches(curves, space),
    }
    return [name for name, does in learns.items() if does]


def _recipe(settings: SearchSettings) -> str:
    """What must be the same for scores to be comparable."""
    if settings.oracle:
        return as_json({"oracle": sorted(Path(file).name for file in settings.oracle)})
    space = dict((settings.space or NETWORK).options)
    evaluator = {**settings.evaluator.options}
    evaluator.pop("device", None)
    return as_json({"evaluator": settings.evaluator.name, **space, **evaluator})


def _shown(job: Job, space: SearchSpace) -> dict[str, str]:
    asked = job.settings
    told: dict[str, object] = {
        "task": job.task,
        "space": space.name,
        "sampler": asked.chosen_sampler.name,
        "pruner": asked.chosen_pruner.name,
        "objective": ",".join(asked.objective),
        "budget": asked.budget,
        "seed": asked.seed,
        **({} if asked.space is None else asked.space.options),
        **({"oracle": ", ".join(asked.oracle)} if asked.oracle else asked.evaluator.options),
    }
    return {name: str(value) for name, value in told.items()}
