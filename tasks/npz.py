"""NumPy's ``.npz``: arrays of images and of labels, by name.

Names are read as words: ``x``, ``images`` or ``data`` for pixels, ``y``, ``labels`` or
``targets`` for classes, with ``train``, ``val`` or ``test`` before or after, as in
``x_train`` or ``test_labels``; ``class_names``, ``label_names``, ``target_names`` or plain
``names`` may hold the classes' names. Pickled objects are refused.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from tasks.arrays import source_of
from tasks.cache import digest
from tasks.options import Options
from tasks.source import ArraySource, Loader

PIXEL_WORDS = frozenset(
    ["x", "xs", "image", "images", "img", "imgs", "data", "input", "inputs", "feature", "features"]
)
LABEL_WORDS = frozenset(["y", "ys", "label", "labels", "target", "targets", "class", "classes"])
NAME_WORDS = frozenset(["name", "names"])
NAMED_WORDS = frozenset(["label", "labels", "target", "targets", "class", "classes"])
"""What names may be of: those of files or samples are not the classes'."""
PART_WORDS = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "te": "test",
}


def open_npz(location: str, options: Options, cache: Path) -> ArraySource:
    """Reads the arrays.

    Raises:
        ValueError: the file is damaged, or names or shapes are none of the known.
    """
    path = Path(location)
    try:
        # Opened here, since NumPy leaves a damaged file open.
        with path.open("rb") as raw:
            if raw.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
                raise ValueError("it holds one array without a name")
            if not zipfile.is_zipfile(raw):
                raise ValueError("it is no whole zip file")
            raw.seek(0)
            with np.load(raw, allow_pickle=False) as file:
                found = sorted(file.files)
                arrays = {role: file[name] for role, name in _roles(found).items()}
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"cannot read the .npz, {error}: {location}") from error
    names: NDArray[Any] | None = arrays.pop(("names", ""), None)
    parts = {}
    for part in dict.fromkeys(part for _, part in arrays):
        if ("pixels", part) in arrays and ("labels", part) in arrays:
            parts[part] = arrays["pixels", part], arrays["labels", part]
    if "train" not in parts and "" in parts:
        parts["train"] = parts.pop("")
    parts.pop("", None)
    if "train" not in parts:
        raise ValueError(
            "need arrays such as x and y, images and labels or x_train and y_train, "
            f"got {', '.join(found) or 'none'}: {location}"
        )
    listed = None if names is None else [str(name) for name in np.atleast_1d(names)]
    return source_of(parts, location, names=listed)


def stamp(location: str, options: Options) -> str:
    """Digest of the file's size and time of change."""
    state = Path(location).stat()
    return digest(str(state.st_size), str(state.st_mtime_ns))


LOADER = Loader(open_npz, stamp)


def _roles(names: Iterable[str]) -> dict[tuple[str, str], str]:
    """(pixels, labels or names; part or "") of every array whose name is understood."""
    roles: dict[tuple[str, str], str] = {}
    for name in names:
        # "xTrain", "X_train" and "train-x" are the same words.
        words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
        split = set(filter(None, re.split(r"[\W_\d]+", words.lower())))
        parts = {PART_WORDS[word] for word in split & PART_WORDS.keys()}
        rest = split - PART_WORDS.keys()
        if len(parts) > 1 or not rest:
            continue
        part = next(iter(parts), "")
        if split == {"names"} or _names_classes(rest):
            role = ("names", "")
        elif rest <= PIXEL_WORDS:
            role = ("pixels", part)
        elif rest <= LABEL_WORDS:
            role = ("labels", part)
        else:
            continue
        if role in roles:
            raise ValueError(f"{roles[role]!r} and {name!r} both name the same array")
        roles[role] = name
    return roles


def _names_classes(words: Set[str]) -> bool:
    of = words - NAME_WORDS
    return of < words and bool(of) and of <= NAMED_WORDS
