"""Names become objects: the one place that looks into the methods' registries."""

from __future__ import annotations

import inspect
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from metanas.protocols import Predictor, SearchSpace, Strategy
from metanas.settings import (
    NETWORK,
    Named,
    Option,
    SearchSettings,
    SettingsError,
    TrainSettings,
    ZeroShotSettings,
    nearest,
)

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

    from metadata_store.batch import Trials
    from metadata_store.records import Task
    from metadata_store.store import MetadataStore
    from metanas.evaluators.recipe import Recipe
    from metanas.evaluators.scratch import Scratch
    from metanas.search.measured import Measure
    from metanas.zero_shot import ZeroShot

Built = TypeVar("Built")

MOST_IMAGES = math.log(1e12)
"""Logarithm of more than any task has."""


def make_space(named: Named, store: MetadataStore) -> SearchSpace:
    """A space with networks by its name, else the one inferred from the store's trials.

    Raises:
        SettingsError: neither a space of that name nor trials in one.
    """
    from metanas.spaces import NAMED, space_of

    if named.name in NAMED:
        return space_by_name(named)
    trials = store.batch(space=named.name)
    if len(trials) == 0:
        known = {*NAMED, *store.info().spaces}
        raise SettingsError(f"unknown space {named.name!r}; {nearest(named.name, known)}")
    if named.options:
        raise SettingsError(
            f"space {named.name!r} is known only by its trials and takes no options, "
            f"got {', '.join(named.options)}"
        )
    return space_of(trials, named.name)


def space_by_name(named: Named) -> SearchSpace:
    """A space that needs no trials to be known.

    Raises:
        SettingsError: there is none of that name.
    """
    from metanas.spaces import NAMED

    return _make(NAMED, named, "space")


def make_predictor(named: Named, space: SearchSpace, *, seed: int = 0) -> Predictor:
    """An unfitted predictor for a space; the seed reaches those that draw."""
    from metanas.predictors import PREDICTORS

    make = PREDICTORS.get(named.name)
    if make is not None and "seed" in inspect.signature(make).parameters:
        named = Named(named.name, {"seed": seed, **named.options})
    return _make(PREDICTORS, named, "predictor", space=space)


def make_evaluator(named: Named, space: SearchSpace, **fixed: Any) -> Any:
    """An evaluator for a space; `fixed` are arguments that no settings file may set."""
    from metanas.evaluators import EVALUATORS

    return _make(EVALUATORS, named, "evaluator", space=space, **fixed)


def long_enough(evaluator: Named, space: SearchSpace, task: Task) -> Named:
    """An evaluator, with as many epochs as a task needs where it says none.

    How many that are is told in `metanas.evaluators.recipe.Recipe.long_enough`. Replays, and
    tasks of which it is not known how many images they have, are left as they are.

    Raises:
        SettingsError: there is no such evaluator, or it has another option that is wrong.
    """
    images = task.features.get("log_train")
    if evaluator.name != "scratch" or "epochs" in evaluator.options:
        return evaluator
    # A feature that others recorded may be no logarithm of a number of images at all.
    if images is None or not 0 <= images < MOST_IMAGES:
        return evaluator
    recipe: Recipe = make_evaluator(evaluator, space).recipe
    return evaluator.but(epochs=recipe.long_enough(round(math.exp(images))).epochs)


def source_of(settings: TrainSettings, space: SearchSpace, evaluator: Scratch) -> str:
    """The source of a trial trained so: what is not as usual, but for where it ran.

    Trials of other epochs or another width are other measurements, not known ones; one
    for which a default was named is no other. What `NETWORK` sets is told of its space
    whatever it is: how large networks were is what readers look for.

    Args:
        space, evaluator: what the settings were made into.
    """
    from metanas.evaluators.recipe import Recipe
    from metanas.spaces import NAMED

    always = NETWORK.options if settings.space.name == NETWORK.name else ()
    told = {name: getattr(space, name) for name in always}
    if settings.space.options:
        # Options may make it a space of another name, with defaults of its own.
        usual = NAMED[space.name if space.name in NAMED else settings.space.name]()
        told |= _unlike(usual, space, settings.space.options)
    taught = [name for name in settings.evaluator.options if name != "device"]
    told |= _unlike(Recipe(), evaluator.recipe, taught)
    text = ",".join(f"{name}={told[name]}" for name in sorted(told))
    return f"train:{text}" if text else "train"


def _unlike(usual: object, made: object, options: Iterable[str]) -> dict[str, Option]:
    """Those of the options that are not as usual, with their values."""
    values = {name: getattr(made, name) for name in options}
    return {name: value for name, value in values.items() if value != getattr(usual, name)}


def run_zero_shot(
    settings: ZeroShotSettings,
    store: MetadataStore,
    task: Task,
    space: SearchSpace,
    predictor: Predictor,
) -> ZeroShot:
    """The zero-shot journey as the settings ask for it; it fits the predictor."""
    from metanas.zero_shot import zero_shot

    return zero_shot(
        task,
        store,
        space=space,
        predictor=predictor,
        neighbours=settings.neighbours,
        candidates=settings.candidates,
        top=settings.top,
        max_params=settings.max_params,
        max_flops=settings.max_flops,
        exclude=settings.exclude,
        seed=settings.seed,
    )


def make_measure(
    settings: SearchSettings,
    store: MetadataStore,
    task: Task,
    *,
    checkpoints: Path | None,
) -> tuple[SearchSpace, Measure]:
    """What a search measures architectures with, and the space of those that it can.

    Raises:
        SettingsError: the tables of `settings.oracle` do not have such trials, or none of
            them has what is searched for.
        ValueError: the task has no data to train on.
    """
    from metadata_store.records import TABLE_KIND
    from metanas.search.measured import training

    if settings.oracle:
        return _oracle(settings, task)
    if task.kind == TABLE_KIND:
        raise SettingsError(
            f"task {task.name!r} is known only by its trials and has no data to train on; "
            f"add its data with `metanas task add`, or give trials with --oracle"
        )
    space = make_space(settings.space or NETWORK, store)
    return space, training(make_evaluator(settings.evaluator, space, checkpoints=checkpoints))


def make_sampler(
    settings: SearchSettings,
    space: SearchSpace,
    task: Task,
    *,
    sources: Trials,
    tasks: Mapping[str, Task],
    seed: int,
) -> optuna.samplers.BaseSampler:
    """A strategy's sampler, or one of Optuna's.

    Args:
        sources: trials of other tasks in the space.
        tasks: records of their tasks, by name.
        seed: differs from worker to worker.

    Raises:
        SettingsError: there is none of that name, or it cannot search so.
        ValueError: an option has a value that it cannot have.
    """
    from metanas.search.named import NUMERIC_ONLY, ONE_OBJECTIVE, SAMPLERS

    named, several = settings.chosen_sampler, len(settings.objective) > 1
    if named.name in SAMPLERS:
        if named.name in NUMERIC_ONLY and all(space.domain.values()):
            raise SettingsError(
                f"sampler {named.name!r} needs numeric choices, space {space.name!r} has none"
            )
        if several and named.name in ONE_OBJECTIVE:
            raise SettingsError(f"sampler {named.name!r} searches for one objective only")
        return _make(SAMPLERS, named, "sampler", seed=seed)
    from metanas.search.sampler import StrategySampler
    from metanas.strategies import STRATEGIES

    if named.name not in STRATEGIES:
        known = {*SAMPLERS, *STRATEGIES}
        raise SettingsError(f"unknown sampler {named.name!r}; {nearest(named.name, known)}")
    if several:
        raise SettingsError(
            f"sampler {named.name!r} searches for one objective; for several there are tpe, "
            f"nsga2 and gp"
        )
    # The strategy's own seed is the same in all workers: what it learns from sources is too.
    fixed = {"tasks": tasks, "seed": settings.seed}

    def make(space: SearchSpace, sources: Trials = sources) -> Strategy:
        return _make(STRATEGIES, named, "sampler", space=space, sources=sources, **fixed)

    if named.options:
        # The first trial makes it, and learns; wrong options are told before there is a study.
        make(space, sources.take([]))
    return StrategySampler(make, task, space, seed=settings.seed)


def make_pruner(
    settings: SearchSettings,
    space: SearchSpace,
    task: Task,
    *,
    sources: Trials,
    learned: Path | None = None,
) -> optuna.pruners.BasePruner:
    """A pruner by its name.

    Args:
        sources: trials of other tasks in the space.
        learned: folder where what it learns from them is kept; by default nowhere.

    Raises:
        SettingsError: there is none of that name, or several objectives.
    """
    from metanas.search.named import PRUNERS

    several = len(settings.objective) > 1
    named = settings.chosen_pruner
    if several and named.name != "none":
        raise SettingsError(
            f"pruner {named.name!r} compares one objective; with several the pruner is none"
        )
    if named.name == "lcranknet":
        from metanas.rankers.lcranknet import LCRankNet
        from metanas.search import LCRankPruner

        made: optuna.pruners.BasePruner = _make(
            {"lcranknet": LCRankPruner},
            # The same in all workers, who then agree.
            named if "seed" in named.options else named.but(seed=settings.seed),
            "pruner",
            store=sources,
            task=task,
            space=space,
            make=partial(LCRankNet, folder=learned),
        )
        return made
    if named.name not in PRUNERS:
        known = {"lcranknet", *PRUNERS}
        raise SettingsError(f"unknown pruner {named.name!r}; {nearest(named.name, known)}")
    return _make({**PRUNERS}, named, "pruner")


def trials_in(files: Sequence[str | Path]) -> Trials:
    """The usable trials of trial tables; how many are left out, and why, is logged.

    Raises:
        ValueError: a file cannot be read, or no row can be used.
    """
    from metadata_store.batch import Trials
    from metadata_store.filters import screen
    from metadata_store.table import read_tables

    allowed = domains()
    parts, unusable = [], Counter[str]()
    for file in files:
        for table in read_tables(file):
            usable, reasons = screen(table, allowed)
            parts.append(usable)
            unusable.update(reasons)
    trials = Trials.concat(parts)
    told = ", ".join(f"{reason} ({count:,})" for reason, count in unusable.items() if count)
    if told and len(trials) == 0:
        raise ValueError(f"{', '.join(map(str, files))}: no usable trials: {told}")
    if told:
        logging.getLogger(__name__).warning("unusable trials are left out: %s", told)
    return trials


def _oracle(settings: SearchSettings, task: Task) -> tuple[SearchSpace, Measure]:
    from metanas.evaluators.recorded import Recorded
    from metanas.search.measured import replaying
    from metanas.spaces import NAMED, space_of
    from metanas.spaces.listed import restricted

    where = ", ".join(settings.oracle)
    everything = trials_in(settings.oracle)
    trials = everything.where(task=task.name)
    if len(trials) == 0:
        hint = nearest(task.name, everything.present("task"))
        raise SettingsError(f"{where}: no trials of task {task.name!r}; {hint}")
    spaces = trials.present("space")
    named = settings.space or (Named(spaces[0]) if len(spaces) == 1 else NETWORK)
    if named.name not in spaces:
        raise SettingsError(
            f"{where}: no trials in space {named.name!r}; {nearest(named.name, spaces)}"
        )
    trials = trials.where(space=named.name)
    whole = space_by_name(named) if named.name in NAMED else space_of(trials, named.name)
    evaluator = Recorded(whole, trials)
    replayed = evaluator.trials.where(task=task.name)
    _check_objectives(settings, replayed, where)
    sources = replayed.present("source")
    if len(sources) > 1:
        logging.getLogger(__name__).warning(
            "%s: trials of %s come from %d sources, %s; they are replayed as if made alike",
            where,
            task.name,
            len(sources),
            ", ".join(sources[:3]) + (", ..." if len(sources) > 3 else ""),
        )
    space = restricted(whole, evaluator.trials.architectures)
    return space, replaying(evaluator, task)


def _check_objectives(settings: SearchSettings, trials: Trials, where: str) -> None:
    """Refuses what none of the trials has: all that a search for it tried would fail."""
    import numpy as np

    from metanas.evaluators.scratch import MARKS

    def told(name: str) -> bool:
        if name in MARKS:
            return False  # digests, of which none is better than another
        values = trials.seconds if name == "seconds" else trials.extra(name)
        return bool(np.isfinite(values).any())

    for objective in settings.objective:
        name = objective.removeprefix("-")
        if name != "score" and not told(name):
            extras = {each for trial in trials for each in trial.extras}
            known = ["score", *filter(told, sorted({"seconds", *extras}))]
            raise SettingsError(
                f"{where}: the trials have no {name!r} to search by; they have {', '.join(known)}"
            )


def domains() -> Mapping[str, Mapping[str, Any]]:
    """What each known space allows, for `metadata_store.filters`."""
    from metanas.spaces import NAMED

    return {name: make().domain for name, make in NAMED.items()}


def _make(
    registry: Mapping[str, Callable[..., Built]], named: Named, what: str, **fixed: Any
) -> Built:
    if named.name not in registry:
        raise SettingsError(f"unknown {what} {named.name!r}; {nearest(named.name, registry)}")
    make = registry[named.name]
    parameters = inspect.signature(make).parameters
    for name in fixed:
        if name not in parameters:
            raise SettingsError(f"{what} {named.name!r} cannot be used here: it takes no {name}")
    kinds = {each: _kind(parameters[each].annotation) for each in parameters if each not in fixed}
    # What takes an object, a function to load with say, is no setting.
    allowed = [each for each, kind in kinds.items() if kind is not None]
    options = {}
    for option, value in named.options.items():
        if option not in allowed:
            raise SettingsError(
                f"{what} {named.name!r} has no option {option!r}; {nearest(option, allowed)}"
            )
        where = f"option {option!r} of {what} {named.name!r}"
        empty = value is None and "None" in str(parameters[option].annotation)
        options[option] = value if empty else _as_kind(value, kinds[option], where)
    return make(**fixed, **options)


def _kind(annotation: object) -> type | None:
    """What a parameter takes besides None: int, float, str or bool; None if it is none of them.

    Why by the annotation's text: to evaluate it would import what only type checkers need.
    """
    known = {each.__name__: each for each in (int, float, str, bool)}
    return known.get(str(annotation).removesuffix(" | None"))


def _as_kind(value: Option, kind: type | None, where: str) -> Option:
    """The value as a parameter of that kind takes it."""
    if kind is float and not isinstance(value, bool):
        # YAML reads 1e-3, without a point, as text.
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{where}: wanted a number, got {value!r}") from error
    if kind is not None and type(value) is not kind:
        raise SettingsError(f"{where}: wanted {kind.__name__}, got {value!r}")
    return value
