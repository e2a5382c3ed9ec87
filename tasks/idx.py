"""IDX files, the format of MNIST and its family, plain or gzipped.

A folder gives all its pairs: names with ``train`` are for training, ``val`` and
``test`` or ``t10k`` for the other parts; a single pair of any name is split. A file
gives itself and its partner, whichever of images and labels it is.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.arrays import source_of
from tasks.cache import digest
from tasks.options import Options
from tasks.source import ArraySource, Loader

NAME = re.compile(
    r"(?P<set>.*?)[-_.]?(?P<role>images|labels)[-_.]?idx[1-4][-_.]ubyte(?:\.gz)?", re.IGNORECASE
)
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"


def is_idx(path: Path) -> bool:
    """Whether the name is that of an IDX file of images or labels."""
    return NAME.fullmatch(path.name) is not None


def open_idx(location: str, options: Options, cache: Path) -> ArraySource:
    """Reads the pairs.

    Raises:
        ValueError: no pair, more than one for a part, or a damaged file.
    """
    pairs = _pairs(Path(location))
    parts = {part: (read(files["images"]), read(files["labels"])) for part, files in pairs.items()}
    return source_of(parts, location)


def stamp(location: str, options: Options) -> str:
    """Digest of the files' names, sizes and times of change."""
    files = sorted(file for pair in _pairs(Path(location)).values() for file in pair.values())
    states = [(file.name, file.stat()) for file in files]
    return digest(*(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states))


LOADER = Loader(open_idx, stamp)


def read(path: Path) -> NDArray[Any]:
    """The array of one file.

    Raises:
        ValueError: it is truncated, too long or no IDX file.
    """
    raw = path.read_bytes()
    if raw.startswith(GZIP):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"the gzip stream is damaged, {error}: {path}") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in TYPES or not 1 <= raw[3] <= 4:
        raise ValueError(f"need an IDX file, it starts with {raw[:4].hex() or 'nothing'}: {path}")
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise ValueError(f"the IDX header is cut off after {len(raw)} bytes: {path}")
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    kind = np.dtype(TYPES[raw[2]])
    wanted = start + math.prod(shape) * kind.itemsize
    if len(raw) != wanted:
        raise ValueError(f"need {wanted} bytes for shape {shape}, got {len(raw)}: {path}")
    return np.frombuffer(raw, kind, offset=start).reshape(shape)


def _pairs(path: Path) -> dict[str, dict[str, Path]]:
    """By part, the files of images and of labels."""
    folder = path if path.is_dir() else path.parent
    sets: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.iterdir()):
        match = NAME.fullmatch(file.name)
        if match:
            # Of a file and its gzipped copy either will do: the plain one sorts first.
            sets.setdefault(match["set"], {}).setdefault(match["role"].lower(), file)
    if not path.is_dir():
        match = NAME.fullmatch(path.name)
        sets = {name: files for name, files in sets.items() if match and match["set"] == name}
        for files in sets.values():
            files[match["role"].lower() if match else "images"] = path
    if not sets:
        raise ValueError(f"need files named like train-images-idx3-ubyte, with labels: {path}")
    pairs: dict[str, dict[str, Path]] = {}
    for name, files in sets.items():
        missing = {"images", "labels"} - files.keys()
        if missing:
            raise ValueError(f"{next(iter(files.values())).name} has no {missing.pop()}: {folder}")
        part = "train" if len(sets) == 1 else _part(name)
        if part in pairs:
            raise ValueError(f"several pairs of files are for {part}, name one file: {path}")
        pairs[part] = files
    if "train" not in pairs:
        raise ValueError(f"of {len(pairs)} pairs of files none is for training: {path}")
    return pairs


def _part(name: str) -> str:
    lower = name.lower()
    if "val" in lower:
        return "val"
    return "test" if "t10k" in lower or "test" in lower else "train"
