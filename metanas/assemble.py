"""Names become objects: the one place that looks into the methods' registries."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from metanas.protocols import Predictor, SearchSpace
from metanas.settings import Named, Option, SettingsError, TrainSettings, ZeroShotSettings, nearest

if TYPE_CHECKING:
    from metadata_store.records import Task
    from metadata_store.store import MetadataStore
    from metanas.zero_shot import ZeroShot

Built = TypeVar("Built")


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


def source_of(settings: TrainSettings) -> str:
    """The source of a trial trained so: what was set, but for where it ran.

    Trials of other epochs or another width are other measurements, not known ones.
    """
    options = {**settings.space.options, **settings.evaluator.options}
    options.pop("device", None)
    told = ",".join(f"{name}={options[name]}" for name in sorted(options))
    return f"train:{told}" if told else "train"


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
    allowed = set(parameters) - set(fixed)
    options = {}
    for option, value in named.options.items():
        if option not in allowed:
            raise SettingsError(
                f"{what} {named.name!r} has no option {option!r}; {nearest(option, allowed)}"
            )
        where = f"option {option!r} of {what} {named.name!r}"
        options[option] = _as_kind(value, parameters[option].annotation, where)
    return make(**fixed, **options)


def _as_kind(value: Option, annotation: object, where: str) -> Option:
    """The value as an int, float, str or bool parameter takes it.

    Why by the annotation's text: to evaluate it would import what only type checkers need.
    """
    kind = {each.__name__: each for each in (int, float, str, bool)}.get(str(annotation))
    if kind is float and not isinstance(value, bool):
        # YAML reads 1e-3, without a point, as text.
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{where}: wanted a number, got {value!r}") from error
    if kind is not None and type(value) is not kind:
        raise SettingsError(f"{where}: wanted {kind.__name__}, got {value!r}")
    return value
