"""From a task to its tensors, read and split once for all methods.

`LOADERS` names the kinds of data. What they read is limited, sized, split and kept
in a cache that later calls only map into memory.

Why: validation images are taken out of the training ones, by default a fifth of each
class, unless the data has a validation part; a test part stays apart for final reports
and is never what methods compare by.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metadata_store.records import TABLE_KIND, Task
from tasks import cache as disk
from tasks import idx, image_folder, npz, sklearn, synthetic, torchvision
from tasks.options import Options, nearest, parse
from tasks.source import PARTS, Images, Loader, Progress, Rows, Source, silent, to_grey
from tasks.split import split, subset

LOADERS: dict[str, Loader] = {
    "image_folder": image_folder.LOADER,
    "npz": npz.LOADER,
    "idx": idx.LOADER,
    "torchvision": torchvision.LOADER,
    "sklearn": sklearn.LOADER,
    "synthetic": synthetic.LOADER,
}
"""Kinds of data by the name of their module."""

CHUNK = 16
"""Images made reals at once: some 10 MB of 224x224 pixels."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Labelled images.

    Attributes:
        images: uint8, shape (n, channels, height, width).
        labels: int64, positions in the classes, shape (n,).
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"images are uint8 of 4 dimensions, got {self.images.dtype} of {self.images.ndim}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"need one int64 label for each of {len(self.images)} images, "
                f"got {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def reals(self, rows: Tensor) -> Iterator[Tensor]:
        """The images of these rows in [0, 1], some at a time: as reals they take four times
        the memory, and most of their users need them smaller.
        """
        for chunk in torch.split(rows, CHUNK):
            yield self.images[chunk].float() / 255.0


@dataclass(frozen=True)
class TaskData:
    """A task's images, every class in both the training and the validation part.

    Attributes:
        train: what networks learn from.
        val: what methods compare by.
        test: for final reports only; None where the data has none.
        classes: names.
        skipped: images left out since they could not be read.
    """

    train: Split
    val: Split
    test: Split | None
    classes: tuple[str, ...]
    skipped: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def n_samples(self) -> int:
        """Images in all parts."""
        return len(self.train) + len(self.val) + (len(self.test) if self.test else 0)


def load(task: Task, *, cache: Path | None = None, progress: Progress = silent) -> TaskData:
    """The task's images: from the cache, or read and put there.

    Args:
        cache: folder for prepared images; None for ``$METANAS_CACHE`` or the platform's.

    Raises:
        ValueError: an unknown kind or option, data that is no set of labelled images,
            or data of another shape than the task was registered with.
        OSError: the data is missing or unreadable.
    """
    data = images_of(task, cache=cache, progress=progress)
    known = (task.n_classes, task.input_shape)
    if known != (len(data.classes), data.shape):
        raise ValueError(
            f"task {task.name!r} was registered with {known[0]} classes of shape {known[1]}, "
            f"{task.data} now holds {len(data.classes)} of {data.shape}"
        )
    if task.n_samples != data.n_samples:
        log.warning(
            "task %r was registered with %d images, %s now holds %d",
            task.name,
            task.n_samples,
            task.data,
            data.n_samples,
        )
    return data


def images_of(task: Task, *, cache: Path | None = None, progress: Progress = silent) -> TaskData:
    """As `load`, but in whatever shape the data says: it may not be the registered one."""
    if task.kind == TABLE_KIND:
        raise ValueError(f"task {task.name!r} is known only by its trials, it has no images")
    try:
        return prepare(task.kind, task.data, cache=cache, progress=progress)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"the images of task {task.name!r} are not on this machine, or no longer there: {error}"
        ) from error


def require_there(kind: str, location: str) -> None:
    """Raises FileNotFoundError: this kind reads a file or folder, and there is none."""
    if loader_of(kind).is_path and not Path(location).exists():
        raise FileNotFoundError(f"need an existing file or folder for kind {kind!r}: {location}")


def prepare(
    kind: str, data: str, *, cache: Path | None = None, progress: Progress = silent
) -> TaskData:
    """`load` of data that is no task yet; see there.

    Images that hold nothing that can be read are skipped and counted, and that is kept with
    the others; one that is only out of reach is an OSError, and nothing is kept.
    """
    loader = loader_of(kind)
    location, options = parse(data.removeprefix(f"{kind}:"), loader.own)
    require_there(kind, location)
    folder = cache if cache is not None else disk.default_folder()
    prepared = folder / disk.digest(kind, data, loader.stamp(location, options))
    found = disk.read(prepared)
    if found is None:
        arrays, classes, skipped = _collect(
            loader.open(location, options, folder), location, options, progress
        )
        disk.write(prepared, arrays, {"classes": classes, "skipped": skipped, "data": data})
        found = disk.read(prepared)
        if found is None:
            raise OSError(f"the cached images vanished while they were written: {prepared}")
    arrays, about = found
    skipped = int(about["skipped"])
    parts = {
        part: Split(
            torch.from_numpy(arrays[f"{part}_images"]), torch.from_numpy(arrays[f"{part}_labels"])
        )
        for part in PARTS
        if f"{part}_labels" in arrays
    }
    made = TaskData(
        train=parts["train"],
        val=parts["val"],
        test=parts.get("test"),
        classes=tuple(about["classes"]),
        skipped=skipped,
    )
    if skipped:
        # Told every time: who searches later is another than who registered the task.
        log.warning(
            "skipped %d of %d images that cannot be read: %s",
            skipped,
            made.n_samples + skipped,
            location,
        )
    return made


def loader_of(kind: str) -> Loader:
    """The loader of a kind.

    Raises:
        ValueError: there is none.
    """
    if kind not in LOADERS:
        raise ValueError(f"unknown kind of data {kind!r}{nearest(kind, LOADERS)}")
    return LOADERS[kind]


def _collect(
    source: Source, location: str, options: Options, progress: Progress
) -> tuple[dict[str, NDArray[np.generic]], tuple[str, ...], int]:
    rng = np.random.default_rng([options.seed, 0])
    wanted = _wanted(source.classes, options.classes, location)
    classes = tuple(source.classes[code] for code in wanted)
    rows, labels = _chosen(source, wanted)
    _check(labels, classes, location)
    rows, labels = _limited(rows, labels, options.limit, rng)
    read = source.read(rows, size=options.size, progress=progress)
    images: dict[str, Images] = {}
    skipped = 0
    for part, (pixels, readable) in read.items():
        if readable.all():
            images[part] = pixels
        else:
            skipped += int((~readable).sum())
            images[part], labels[part] = pixels[readable], labels[part][readable]
    total = sum(len(chosen) for chosen in rows.values())
    if skipped == total:
        raise ValueError(f"none of the {total} images can be read: {location}")
    _check(labels, classes, location, unreadable=skipped)
    if options.grey:
        images = {part: to_grey(pixels) for part, pixels in images.items()}
    if "val" not in labels:
        first, second = split(labels["train"], options.val, rng=rng)
        images["val"], labels["val"] = images["train"][second], labels["train"][second]
        images["train"], labels["train"] = images["train"][first], labels["train"][first]
    labels["train"] = _noisy(labels["train"], options, len(classes))
    arrays: dict[str, NDArray[np.generic]] = {}
    for part in labels:
        if part != "test" or len(labels[part]):
            arrays[f"{part}_images"] = np.ascontiguousarray(images[part])
            arrays[f"{part}_labels"] = labels[part].astype(np.int64)
    return arrays, classes, skipped


def _wanted(names: tuple[str, ...], asked: tuple[str, ...], location: str) -> list[int]:
    """Positions of the classes asked for by name or else by position, in the data's order."""
    wanted = set()
    for text in asked:
        if text in names:
            wanted.add(names.index(text))
        elif text.isdecimal() and int(text) < len(names):
            wanted.add(int(text))
        else:
            raise ValueError(
                f"no class {text!r} among the {len(names)} of {location}{nearest(text, names[:20])}"
            )
    if len(wanted) < len(asked):
        raise ValueError(f"a class is named twice in {','.join(asked)}")
    return sorted(wanted) if asked else list(range(len(names)))


def _chosen(source: Source, wanted: list[int]) -> tuple[dict[str, Rows], dict[str, Rows]]:
    new = np.full(len(source.classes), -1, np.int64)
    new[wanted] = np.arange(len(wanted))
    rows, labels = {}, {}
    for part, codes in source.labels.items():
        rows[part] = np.flatnonzero(new[codes] >= 0)
        labels[part] = new[codes[rows[part]]]
    return rows, labels


def _limited(
    rows: dict[str, Rows], labels: dict[str, Rows], limit: int | None, rng: np.random.Generator
) -> tuple[dict[str, Rows], dict[str, Rows]]:
    total = sum(len(codes) for codes in labels.values())
    if limit is None or limit >= total:
        return rows, labels
    least = {"train": 1 if "val" in labels else 2, "val": 1, "test": 0}
    kept_rows, kept_labels = {}, {}
    for part, codes in labels.items():
        share = round(limit * len(codes) / total)
        keep = subset(codes, share, least=least[part], rng=rng)
        kept_rows[part], kept_labels[part] = rows[part][keep], codes[keep]
    kept = sum(len(codes) for codes in kept_labels.values())
    if kept > limit + len(labels):
        raise ValueError(f"a limit of {limit} images leaves classes empty, need at least {kept}")
    return kept_rows, kept_labels


def _check(
    labels: dict[str, Rows], classes: tuple[str, ...], location: str, *, unreadable: int = 0
) -> None:
    """Every class must reach the training and the validation part."""
    among = f" ({unreadable} images cannot be read)" if unreadable else ""
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise ValueError(f"need at least two classes, got {found}: {location}")
    needed = {"train": 1, "val": 1} if "val" in labels else {"train": 2}
    for part, least in needed.items():
        counts = np.bincount(labels[part], minlength=len(classes))
        worst = int(np.argmin(counts))
        if counts[worst] < least:
            where = f" in its {part} part" if "val" in labels else ""
            raise ValueError(
                f"class {classes[worst]!r} needs at least {least} images{where}, "
                f"got {counts[worst]}{among}: {location}"
            )


def _noisy(labels: Rows, options: Options, n_classes: int) -> Rows:
    """Labels of which the asked share is replaced by another class."""
    rng = np.random.default_rng([options.seed, 1])
    flipped = rng.permutation(len(labels))[: round(options.noise * len(labels))]
    noisy = labels.copy()
    noisy[flipped] += rng.integers(1, n_classes, len(flipped))
    return noisy % n_classes
