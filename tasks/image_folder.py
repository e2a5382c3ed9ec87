"""A folder (or a .zip or .tar archive) of images, one folder a class.

An image belongs to the topmost folder on its way that holds images itself, and the
class is that folder's path: ``cat/1.png`` and ``cat/small/2.png`` are both `cat`,
``Greek/alpha/1.png`` is `Greek/alpha`. With ``depth=1`` the class is the first
folder of the path whatever lies below. Folders that only wrap another are passed through,
also beside folders without images and images that lie in none. A folder that stands alone and
holds images itself is passed through where it holds several folders with more images, else it
is a class.
Top folders named train and val, valid, validation, dev or test (also ``training_set``,
``Test images`` and the like) are taken as parts; what holds images in one part is a class in
all. One of them that holds all images is passed through too. Where none of them holds folders
of images, and folders by other names stand beside, all are classes: vehicles, say.
Hidden files, other files and images outside any class folder are ignored.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Container, Iterable, Iterator, Sequence, Set
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from tasks import archive
from tasks.cache import digest
from tasks.images import ImageSource
from tasks.options import Options
from tasks.source import Loader, Rows

SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".ico",
])  # fmt: skip
PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "trainset": "train",
    "valset": "val",
    "testset": "test",
}
SAID_WITH = frozenset(["set", "data", "dataset", "images", "imgs", "split"])
"""Words beside a part's name that change nothing."""

log = logging.getLogger(__name__)


def open_folder(location: str, options: Options, cache: Path) -> ImageSource:
    """Lists the images; none is read yet.

    Raises:
        ValueError: no images, none in a class folder, parts of different classes, or none of
            them for training.
        OSError: a folder cannot be read.
    """
    path = Path(location)
    depth = options.integer("depth", None)
    root = path if path.is_dir() else archive.extract(path, cache, SUFFIXES)
    way = _inside(_unwrapped(root), options.own.get("within"), location)
    root = way[-1]
    found = {file.relative_to(root): file for file in _images(root)}
    if not found:
        raise ValueError(f"need images in a folder for each class, found no image: {location}")
    by_part = _parts([PurePosixPath(name.as_posix()) for name in found], location)
    # Over all parts, so that a class is the same folder in each of them.
    holders = {below.parent for names in by_part.values() for _, below in names}
    labelled = {part: _labelled(names, holders, depth) for part, names in by_part.items()}
    lost = len(found) - sum(len(names) for names in labelled.values())
    lost += sum(len(_own_images(folder)) for folder in way[:-1])
    if not labelled["train"]:
        raise ValueError(
            f"need images in a folder for each class, found {len(found)} in none: {location}"
        )
    if lost:
        log.warning("ignored %d images outside any class folder: %s", lost, location)
    classes = tuple(sorted({name for _, name in labelled["train"]}))
    _tell_doubtful(classes, location)
    code = {name: position for position, name in enumerate(classes)}
    labels: dict[str, Rows] = {}
    openers = {}
    for part, pairs in labelled.items():
        if not pairs:
            continue
        strange = sorted({name for _, name in pairs} - code.keys())
        if strange:
            raise ValueError(f"class {strange[0]!r} has no training images: {location}")
        labels[part] = np.array([code[name] for _, name in pairs], np.int64)
        openers[part] = _Files([root / file for file, _ in pairs])
    return ImageSource(classes, labels, openers, location)


def stamp(location: str, options: Options) -> str:
    """Digest of every image's path, size and time of change."""
    path = Path(location)
    files = _images(path) if path.is_dir() else iter([path])
    lines = []
    for file in files:
        # A link to nothing is an image that cannot be read, and counted as one.
        state = file.stat() if file.exists() else file.lstat()
        lines.append(f"{file.relative_to(path)} {state.st_size} {state.st_mtime_ns}")
    return digest(*lines)


LOADER = Loader(open_folder, stamp, own=("depth", "within"))


class _Files:
    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __call__(self, row: int) -> Image.Image:
        return Image.open(self.files[row])


def _images(root: Path) -> Iterator[Path]:
    """Every image file below, in a fixed order.

    Raises:
        OSError: a folder cannot be read.
    """
    ways: dict[Path, tuple[Path, ...]] = {}
    for folder, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        # A link to a folder above would be walked for ever; one to a folder beside is another
        # class or part.
        here = Path(folder)
        real, above = here.resolve(), ways.get(here.parent, ())
        if any(real == each or real in each.parents for each in above):
            folders.clear()
            continue
        ways[here] = (*above, real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from filter(_is_image, (Path(folder, name) for name in sorted(files)))


def _refuse(error: OSError) -> None:
    """Without it a folder that cannot be read would be a class fewer, and nobody be told."""
    raise error


def _is_image(file: Path) -> bool:
    """By its name."""
    return file.suffix.lower() in SUFFIXES and not _hidden(file.name)


def _hidden(name: str) -> bool:
    # The folder lost+found of a whole disk is its administrator's alone.
    return name.startswith((".", "__MACOSX")) or name == "lost+found"


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name)]


def _unwrapped(root: Path) -> list[Path]:
    """The way down through folders whose only folder of images is one of folders."""
    way = [root]
    while True:
        below = _folders(way[-1])
        full = list(islice((path for path in below if any(_images(path))), 2))
        if len(full) != 1 or not _folders(full[0]):
            break
        # Images in the root belong to no class in any case.
        if _own_images(full[0]) and not _wraps(full[0], alone=len(below) == 1):
            break
        way.append(full[0])
    return way


def _wraps(folder: Path, *, alone: bool) -> bool:
    """Whether a folder with images of its own is no class, but one of classes or parts.

    Parts tell; so do several folders in it that hold images, together more than lie in itself,
    unless others stand beside it, which may be empty classes. They may lie in one that only
    wraps them.
    """
    if any(_part(inside.name) == "train" for inside in _folders(folder)):
        return True
    images = [file.relative_to(folder).parts for file in _images(folder)]
    below = [parts for parts in images if len(parts) > 1]
    own = len(images) - len(below)
    while below and len({parts[0] for parts in below}) == 1 and min(map(len, below)) > 2:
        below = [parts[1:] for parts in below]
    return alone and len({parts[0] for parts in below}) > 1 and own < len(below)


def _own_images(folder: Path) -> list[Path]:
    """Those that lie in itself."""
    return [path for path in folder.iterdir() if _is_image(path) and not path.is_dir()]


def _inside(way: list[Path], within: str | None, location: str) -> list[Path]:
    """The way, or that from the folder of that name at its end, or else on it."""
    if within is None:
        return way
    inner = PurePosixPath(within)
    if inner.is_absolute() or ".." in inner.parts:
        raise ValueError(f"within must name a folder below {location}, got {within!r}")
    for base in reversed(way):
        if (base / inner).is_dir():
            return _unwrapped(base / inner)
    raise FileNotFoundError(f"no folder {within!r} in {location}")


def _parts(
    names: list[PurePosixPath], location: str
) -> dict[str, list[tuple[PurePosixPath, PurePosixPath]]]:
    """By part, each image's path and the same below the part's folder."""
    tops = {name.parts[0] for name in names if len(name.parts) > 1}
    parts = {top: part for top in tops if (part := _part(top))}
    if len(tops) == 1 and parts:
        # The other parts are empty, or hold no images.
        parts = dict.fromkeys(parts, "train")
    elif "train" not in parts.values() or len(set(parts.values())) < 2:
        if parts.keys() == tops and "train" not in parts.values() and _shared(names):
            raise ValueError(
                f"need a folder train beside {' and '.join(sorted(tops))}, found none: {location}"
            )
        parts = {}
    elif parts.keys() < tops and not _hold_folders(parts, names):
        log.warning(
            "%s, beside %s, hold no folders of images, taken for classes and not for parts: %s",
            " and ".join(sorted(parts)),
            ", ".join(sorted(tops - parts.keys())[:5]),
            location,
        )
        parts = {}
    if not parts:
        return {"train": [(name, name) for name in names]}
    kept: dict[str, list[tuple[PurePosixPath, PurePosixPath]]] = {"train": []}
    for name in names:
        part = parts.get(name.parts[0])
        if part is not None:
            kept.setdefault(part, []).append((name, PurePosixPath(*name.parts[1:])))
    return kept


def _part(folder: str) -> str | None:
    """The part that a folder of this name holds, as far as one can tell."""
    words = set(filter(None, re.split(r"[\W_]+", folder.lower()))) - SAID_WITH
    return PART_NAMES.get(words.pop()) if len(words) == 1 else None


def _hold_folders(tops: Container[str], names: Iterable[PurePosixPath]) -> bool:
    """Whether an image lies in a folder below one of these top ones."""
    return any(name.parts[0] in tops and len(name.parts) > 2 for name in names)


def _shared(names: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    """Paths of folders below the top ones that are found in several of these."""
    tops: dict[PurePosixPath, set[str]] = {}
    for name in names:
        if len(name.parts) > 2:
            tops.setdefault(PurePosixPath(*name.parts[1:-1]), set()).add(name.parts[0])
    return {below for below, found in tops.items() if len(found) > 1}


def _tell_doubtful(classes: Sequence[str], location: str) -> None:
    """Warns where folders that may have been meant as parts are taken for classes.

    Two or three top folders that hold the same classes are more likely parts; more of them, or
    of different classes, groups: alphabets, say. And so is a folder of classes named as a part.
    """
    below: dict[str, set[str]] = {}
    for name in classes:
        top, _, rest = name.partition("/")
        below.setdefault(top, set()).add(rest)
    held = list(below.values())
    above = [folder for name in classes for folder in PurePosixPath(name).parents]
    named = sorted({str(folder) for folder in above if _part(folder.name)})
    if named:
        log.warning(
            "%s named as parts, taken for groups of classes: %s",
            ", ".join(named[:5]),
            location,
        )
    elif len(held) in (2, 3) and "" not in held[0] and all(each == held[0] for each in held):
        log.warning(
            "%s each hold %s, taken for %d classes; parts are named train, val and test: %s",
            " and ".join(below),
            ", ".join(sorted(held[0])[:5]),
            len(classes),
            location,
        )


def _labelled(
    names: list[tuple[PurePosixPath, PurePosixPath]],
    holders: Set[PurePosixPath],
    depth: int | None,
) -> list[tuple[PurePosixPath, str]]:
    """Path and class of each image that lies in a class folder.

    Args:
        names: as `_parts` gives them.
        holders: folders below a part's that hold images in some part.
    """
    labelled = []
    for name, below in names:
        folders = below.parts[:-1]
        if not folders:
            continue
        length = depth
        if length is None:
            tops = range(1, len(folders) + 1)
            length = next(n for n in tops if PurePosixPath(*folders[:n]) in holders)
        labelled.append((name, "/".join(folders[:length])))
    return labelled
