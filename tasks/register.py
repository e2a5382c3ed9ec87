"""From a dataset to a task: read, split once, measured, characterised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metadata_store.records import Task, is_text, require_storable
from tasks import archive, idx
from tasks.dcn import characterise
from tasks.features import above_chance, measure
from tasks.home import at_home
from tasks.load import LOADERS, loader_of, prepare, require_there
from tasks.options import Options, compose, parse
from tasks.source import Progress, silent


def register(
    name: str,
    data: str,
    *,
    kind: str | None = None,
    size: int | None = None,
    limit: int | None = None,
    classes: Sequence[str] | None = None,
    grey: bool = False,
    seed: int | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Task:
    """The record of a dataset; no store is touched.

    Args:
        data: a file or folder, or a name such as ``sklearn:digits``, with options in its
            fragment (see `tasks.options`); arguments replace those of the same name.
        kind: names the loader; None guesses it.
        size: side of the square images are resized to.
        limit: how many images to keep.
        classes: names or positions of those to keep.
        grey: one channel.
        seed: of the split.
        cache: folder for prepared images; None for the usual one.

    Raises:
        ValueError: a name that no store can hold, an unknown kind or option, data that is no
            set of labelled images, or a location or class whose name is no text.
        OSError: the data is missing or unreadable.
    """
    if not name:
        raise ValueError("a task needs a name, got an empty one")
    require_storable(name)
    kind = kind or guess_kind(data)
    location, options = _located(data, kind)
    options = replace(
        options,
        size=options.size if size is None else size,
        limit=options.limit if limit is None else limit,
        classes=options.classes if classes is None else tuple(classes),
        grey=options.grey or grey,
        seed=options.seed if seed is None else seed,
    )
    where = compose(location, options)
    _require_text("the data's location", where)
    loaded = prepare(kind, where, cache=cache, progress=progress)
    for each in loaded.classes:
        _require_text("a class's name", each)
    progress(0, 1, "measuring features")
    features = measure(loaded)
    found = characterise(loaded, progress=progress)
    features["dcn_std"] = found.std
    features["dcn_above_chance"] = above_chance(found.dcn, loaded.val.labels)
    return Task(
        name=name,
        kind=kind,
        data=where,
        n_samples=loaded.n_samples,
        n_classes=len(loaded.classes),
        input_shape=loaded.shape,
        dcn=found.dcn,
        features=features,
    )


def require_data(data: str, kind: str | None = None) -> None:
    """Tells at once what `register` would tell of a location; nothing is read.

    Raises:
        ValueError: an unknown kind or option.
        OSError: there is no such file or folder.
    """
    kind = kind or guess_kind(data)
    require_there(kind, _located(data, kind)[0])


def _require_text(what: str, name: str) -> None:
    """Names go into the store, into JSON and into exported networks: better told before the
    training than after it. None of them bounds the length of these.
    """
    if not is_text(name):
        raise ValueError(f"{what} must be UTF-8 without NUL, got {name!r}")


def relocated(task: Task, data: str, kind: str | None = None) -> Task:
    """A known task whose images lie where `data` says; nothing is read.

    Raises:
        ValueError: the file or folder is named otherwise, or the kind or an option differs.
    """
    if kind in (None, task.kind):
        own = loader_of(task.kind).own
        (asked, wanted), (known, found) = (
            parse(each.removeprefix(f"{task.kind}:"), own) for each in (data, task.data)
        )
        location, _ = _located(data, task.kind)
        # A link goes by its own name too.
        if Path(known).name in (Path(asked).name, Path(location).name) and wanted == found:
            return replace(task, data=compose(location, wanted))
    raise ValueError(
        f"task {task.name!r} is known with {task.kind} data {task.data!r}, "
        f"not with {data!r} and the same options; choose another name or store"
    )


def _located(data: str, kind: str) -> tuple[str, Options]:
    loader = loader_of(kind)
    location, options = parse(data.removeprefix(f"{kind}:"), loader.own)
    return str(at_home(location).resolve()) if loader.is_path else location, options


def guess_kind(data: str) -> str:
    """The kind of data a location looks like.

    Raises:
        ValueError: it looks like none.
        OSError: there is no such file or folder.
    """
    prefix, colon, _ = data.partition(":")
    if colon and prefix in LOADERS:
        return prefix
    location = location_of(data)
    if not location:
        raise FileNotFoundError("need a file or folder, or KIND:NAME, got an empty text")
    path = at_home(location)
    if path.is_dir():
        found = any(idx.is_idx(file) for file in path.iterdir())
        return "idx" if found else "image_folder"
    if not path.exists():
        raise FileNotFoundError(f"need an existing file or folder, or KIND:NAME: {data}")
    if path.suffix.lower() == ".npz":
        return "npz"
    if idx.is_idx(path):
        return "idx"
    if archive.is_archive(path):
        return "image_folder"
    raise ValueError(f"cannot guess the kind of data, known are {', '.join(LOADERS)}: {data}")


def location_of(data: str) -> str:
    """The location in data of a kind that is not known yet.

    Raises:
        ValueError: an option that no kind has, or a value out of range.
    """
    return parse(data, {name for loader in LOADERS.values() for name in loader.own})[0]
