"""What a journey is asked to do, read from YAML into frozen dataclasses.

A file holds one mapping whose keys are the fields of one of the classes below;
an unknown key is an error that names the nearest known one. Options of a named
object (a space, a predictor, an evaluator) are the keyword arguments of its
class, where their defaults live.
"""

from __future__ import annotations

import difflib
import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from metadata_store.records import is_text

Option = str | int | float | bool | None
Settings = TypeVar("Settings")


SOURCE_BYTES = 255 - len("..parquet.") - 32 - len(".tmp")
"""Length of a source at most: file systems have names of 255 bytes, and a trial table is written
under a longer name than its own, see `metadata_store.table.whole`.
"""


class SettingsError(ValueError):
    """A settings file or option is not what it should be."""


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**31:
        raise ValueError(f"a seed lies in 0 to 2147483647, got {seed}")


def _check_seeds(seeds: Sequence[int]) -> None:
    if not seeds:
        raise ValueError("need a seed at least, got none")
    _check_different("seeds", seeds)
    for seed in seeds:
        _check_seed(seed)


def _check_different(name: str, values: Sequence[object]) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must differ, got {', '.join(map(str, values))}")


def check_source(source: str) -> None:
    """Trials under another name could be made, but never exported as a file of that name.

    Raises:
        ValueError: no file in a folder has this name.
    """
    if Path(source).name != source or source in ("", "..") or not is_text(source):
        raise ValueError(f"need a source that can name a file, got {source!r}")
    length = len(os.fsencode(source))
    if length > SOURCE_BYTES:
        raise ValueError(
            f"need a source of at most {SOURCE_BYTES} bytes to name a file, got {length}: "
            f"{source[:40]!r}…"
        )


@dataclass(frozen=True)
class Named:
    """An object by its registry's name, and keyword arguments of its class."""

    name: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def but(self, **options: Option) -> Named:
        """The same with further options; those that are None are left out."""
        given = {key: value for key, value in options.items() if value is not None}
        return Named(self.name, {**self.options, **given})


NETWORK = Named("nasbench201", {"width": 16, "cells": 1})
"""Small enough for a CPU; the benchmark's own networks have 5 cells a stage."""


@dataclass(frozen=True)
class TaskSettings:
    """A task to register.

    Attributes:
        data: location and options, as `tasks.options` describes them.
        kind: of data; guessed where it is None.
        seeds, repeated: as in `ExperienceSettings`, for this task; None for what is said there.
    """

    name: str
    data: str
    kind: str | None = None
    seeds: tuple[int, ...] | None = None
    repeated: int | tuple[int, ...] | None = None


@dataclass(frozen=True)
class ZeroShotSettings:
    """Ranked architectures for a task with no trial.

    Attributes:
        neighbours: how many nearest tasks to learn from.
        candidates: how many to draw where the space cannot be listed.
        top: how many to recommend.
        max_params: upper bound on parameters, None for none.
        max_flops: upper bound on multiply-adds of one image, None for none.
        exclude: tasks not to learn from.
    """

    space: Named = NETWORK
    predictor: Named = Named("tapas")
    neighbours: int = 12
    candidates: int = 20_000
    top: int = 5
    max_params: int | None = None
    max_flops: int | None = None
    exclude: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("neighbours", "candidates", "top"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        _check_seed(self.seed)


@dataclass(frozen=True)
class TrainSettings:
    """One architecture trained on one task."""

    space: Named = NETWORK
    evaluator: Named = Named("scratch")
    seed: int = 0

    def __post_init__(self) -> None:
        _check_seed(self.seed)


MEASURED = ("score", "params", "flops", "latency_s", "seconds", "train_loss")
"""What a training of a search tells; a trial table may tell other things."""


@dataclass(frozen=True)
class SearchSettings:
    """A search on one task.

    Attributes:
        budget: trials that may end, those of earlier runs of the study included.
        space: None for that of the oracle's tables, else the usual one.
        sampler: a strategy, or one of Optuna's samplers; None for xfernas, or for tpe where
            there are several objectives.
        pruner: stops trainings that will lose; None for lcranknet, or for none where
            there are several objectives or an oracle, which costs nothing.
        objective: "score", or several: names of extras, "-" before what is to be small.
        neighbours: how many nearest tasks to learn from.
        exclude: tasks not to learn from.
        priors: how many of the best source architectures to try first; None for a choice
            that suits the sampler.
        oracle: trial tables that answer instead of training.
        seed: of the search and of trainings.
    """

    budget: int
    space: Named | None = None
    evaluator: Named = Named("scratch")
    sampler: Named | None = None
    pruner: Named | None = None
    objective: tuple[str, ...] = ("score",)
    neighbours: int = 12
    exclude: tuple[str, ...] = ()
    priors: int | None = None
    oracle: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("budget", "neighbours"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.priors is not None and self.priors < 0:
            raise ValueError(f"priors must not be negative, got {self.priors}")
        names = [name.removeprefix("-") for name in self.objective]
        if "score" not in self.objective or len(set(names)) < len(names) or "" in names:
            raise ValueError(
                "objective needs score, and may have other names, each once, "
                f"got {','.join(self.objective) or 'none'}"
            )
        strange = sorted(set(names) - set(MEASURED))
        if strange and not self.oracle:
            raise ValueError(
                f"a training has no {strange[0]!r} to search by; it has {', '.join(MEASURED)}"
            )
        _check_seed(self.seed)

    @property
    def chosen_sampler(self) -> Named:
        """The sampler given, or the default."""
        return self.sampler or Named("xfernas" if len(self.objective) == 1 else "tpe")

    @property
    def chosen_pruner(self) -> Named:
        """The pruner given, or the default."""
        spared = len(self.objective) == 1 and not self.oracle
        return self.pruner or Named("lcranknet" if spared else "none")


@dataclass(frozen=True)
class PlanSettings:
    """How long to meta-train, and on what episodes; see `metanas.meta.training.Plan`.

    Attributes:
        train_ways: classes of a training episode where the method takes any number of them;
            all there are at most.
        rotations: whether quarter turns count as further classes.
        warp: how strongly classes are changed into new ones; 0 for not.
        seconds: after which training ends, its rates falling in time; None for no limit.
            Only without one are two trainings the same.
    """

    iterations: int = 1500
    batch: int = 1
    train_ways: int = 60
    queries: int = 2
    lr: float = 3e-3
    architecture_lr: float = 3e-3
    rotations: bool = True
    warp: float = 0.5
    every: int = 100
    validation_episodes: int = 100
    seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "train_ways", "queries", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        _check_seed(self.seed)


@dataclass(frozen=True)
class MetaTrainSettings:
    """An architecture and weights to be meta-learned.

    Attributes:
        episodes: a registered task, or images of many classes.
        name: under which the result is kept.
        ways: classes of a task that it is judged by.
        shots: images of each.
        validation: other classes to judge by; None for some of the episodes'.
        method: one with an architecture, see `metanas.meta.meta_architecture`.
        size: side of the images.
    """

    episodes: str
    name: str
    ways: int = 5
    shots: int = 1
    validation: str | None = None
    method: Named = Named("tnas")
    size: int = 28
    plan: PlanSettings = PlanSettings()

    def __post_init__(self) -> None:
        for name in ("ways", "shots", "size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class ExperienceSettings:
    """Trials of the same random architectures on every task.

    Attributes:
        source: the trials' source.
        architectures: how many, drawn with `seed`.
        evaluator: without ``epochs`` it trains 12 on every task, however few images that has:
            a source's curves are of one length.
        always: architectures to include, as the space writes them.
        seeds: of training; the first trains every architecture.
        repeated: how many of the first architectures the further seeds train, to show how
            much chance there is in a score: one number, or one a further seed; None for all.
        together: architectures trained at once where that proves faster; None for one on a
            CPU and many on a GPU.
        seed: of the draw.
    """

    tasks: tuple[TaskSettings, ...]
    source: str
    architectures: int
    space: Named = NETWORK
    evaluator: Named = Named("scratch")
    always: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    repeated: int | tuple[int, ...] | None = None
    together: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.architectures < 1 or not self.tasks:
            raise ValueError(
                f"need an architecture and a task at least, got {self.architectures} and "
                f"{len(self.tasks)}"
            )
        check_source(self.source)
        if self.evaluator.name != "scratch":
            raise ValueError(f"experience is trained from scratch, not {self.evaluator.name!r}")
        _check_different("task names", [task.name for task in self.tasks])
        for seeds in (self.seeds, *(task.seeds for task in self.tasks)):
            if seeds is not None:
                _check_seeds(seeds)
        for given in (self.repeated, *(task.repeated for task in self.tasks)):
            for number in given if isinstance(given, tuple) else (given,):
                if number is not None and not 0 <= number <= self.architectures:
                    raise ValueError(
                        f"repeated must be from 0 to the {self.architectures} architectures, "
                        f"got {number}"
                    )
        for task in self.tasks:
            self.trained(task)
        if self.together is not None and self.together < 1:
            raise ValueError(f"together must be at least 1, got {self.together}")
        _check_seed(self.seed)

    def trained(self, task: TaskSettings) -> tuple[tuple[int, int | None], ...]:
        """The seeds of a task, each with how many of the first architectures it trains.

        None stands for all of them, those of `always` beyond `architectures` too.

        Raises:
            ValueError: `repeated` has numbers, but not one for each further seed.
        """
        first, *further = self.seeds if task.seeds is None else task.seeds
        repeated = self.repeated if task.repeated is None else task.repeated
        each = repeated if isinstance(repeated, tuple) else (repeated,) * len(further)
        if len(each) != len(further):
            raise ValueError(
                f"repeated must be one number, or one for each of the {len(further)} further "
                f"seeds of {task.name}, got {len(each)}"
            )
        return ((first, None), *zip(further, each, strict=True))


@dataclass(frozen=True)
class FewShotSettings:
    """A few digits of scikit-learn's, and what is adapted to them.

    Attributes:
        meta: the meta-architecture.
        classes: how many digits, the last ones.
        shots: images of each to learn from.
        judged: further images of each to be right about.
    """

    meta: str = "omniglot"
    classes: int = 5
    shots: int = 5
    judged: int = 20

    def __post_init__(self) -> None:
        if not 2 <= self.classes <= 10 or self.shots < 1 or self.judged < 1:
            raise ValueError(
                "need 2 to 10 classes, a shot and an image to judge by at least, "
                f"got {self.classes}, {self.shots} and {self.judged}"
            )


@dataclass(frozen=True)
class DemoSettings:
    """The journeys one after the other: register, zero-shot, train, search, few-shot, report.

    Attributes:
        task: the new task; ``data`` is relative to the demo's folder.
        digits: whether to write scikit-learn's digits there as a folder of images.
        experience: made first, where the store's is not to be used.
        search: None for none.
        few_shot: None for none.
    """

    task: TaskSettings
    digits: bool = False
    experience: ExperienceSettings | None = None
    zero_shot: ZeroShotSettings = ZeroShotSettings()
    train: TrainSettings = TrainSettings()
    search: SearchSettings | None = None
    few_shot: FewShotSettings | None = None


def read_settings(path: Path, kind: type[Settings]) -> Settings:
    """The settings in a YAML file.

    Raises:
        SettingsError: unreadable, no mapping, an unknown or missing key, or a
            value of another type; says which file and key.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:  # the latter: of the 99th of a month
        line = " ".join(str(error).split())
        raise SettingsError(f"{path}: is no YAML: {line}") from error
    return typing.cast(Settings, _parse(loaded, kind, str(path)))


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the likeliest meant name, or all of them."""
    known = sorted(known)
    if not known:
        return "there are none"
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def _parse(value: object, kind: Any, where: str) -> object:
    """`value` as `kind`, which may be a dataclass, a tuple, a union or a plain type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind):
        return _parse_dataclass(value, typing.cast(type, kind), where)
    if origin in (types.UnionType, typing.Union):
        return _parse_union(value, arguments, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise SettingsError(f"{where}: wanted a list, got {value!r}")
        return tuple(_parse(item, arguments[0], f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise SettingsError(f"{where}: wanted a mapping, got {value!r}")
        return {
            str(key): _parse(item, arguments[1], f"{where}.{key}") for key, item in value.items()
        }
    if kind is float and type(value) is int:
        return float(value)
    if kind is type(None):
        kind = types.NoneType
    # bool is a subclass of int, but "yes" is no number of epochs.
    if type(value) is not kind:
        raise SettingsError(f"{where}: wanted {kind.__name__}, got {value!r}")
    return value


def _parse_union(value: object, kinds: tuple[Any, ...], where: str) -> object:
    if value is None and types.NoneType in kinds:
        return None
    if type(value) in kinds:
        return value
    rest = [kind for kind in kinds if kind is not types.NoneType]
    if isinstance(value, list):
        rest = [kind for kind in rest if typing.get_origin(kind) is tuple] or rest
    if len(rest) == 1:
        return _parse(value, rest[0], where)
    names = " or ".join(kind.__name__ for kind in kinds)
    raise SettingsError(f"{where}: wanted {names}, got {value!r}")


def _parse_dataclass(value: object, kind: type, where: str) -> object:
    if kind is Named and isinstance(value, str):
        return Named(value)
    if not isinstance(value, dict):
        raise SettingsError(f"{where}: wanted a mapping, got {value!r}")
    hints = typing.get_type_hints(kind)
    known = {each.name: each for each in fields(kind)}
    for key in value:
        if key not in known:
            raise SettingsError(f"{where}: unknown key {key!r}; {nearest(str(key), known)}")
    for name, each in known.items():
        if name not in value and each.default is MISSING and each.default_factory is MISSING:
            raise SettingsError(f"{where}: needs the key {name!r}")
    parsed = {
        str(name): _parse(item, hints[name], f"{where}: {name}") for name, item in value.items()
    }
    try:
        return kind(**parsed)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error
