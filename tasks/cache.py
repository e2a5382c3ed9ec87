"""Prepared tensors on disk, memory-mapped, one folder a task.

A folder appears whole, by one rename, or not at all, so processes that prepare the
same task at the same time cannot disturb each other: the first one wins. Its name
is a digest of everything that went into it, so nothing in it ever goes stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

VARIABLE = "METANAS_CACHE"
FORMAT = 6
"""Raised whenever the same data would be prepared differently."""

LISTED = "arrays"
"""The fact that names the arrays of a folder, so that one that was removed is missed."""


def default_folder() -> Path:
    """``$METANAS_CACHE``, else the platform's folder for caches."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("metanas")) / "tasks"


def digest(*texts: str) -> str:
    """Short hexadecimal name of these texts."""
    whole = json.dumps([FORMAT, *texts])
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` at the end, unless another has by then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Not of `tempfile`, whose folders nobody else may read: a cache may be shared.
    scratch = folder.parent / f".new-{uuid.uuid4().hex}"
    scratch.mkdir()
    try:
        yield scratch
        try:
            scratch.rename(folder)
        except OSError:
            # Someone else was first, with the same content: theirs is used.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write(folder: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, object]) -> None:
    """Makes `folder` hold these arrays and facts; none may be named `LISTED`."""
    with appearing(folder) as scratch:
        for name, array in arrays.items():
            np.save(scratch / f"{name}.npy", array, allow_pickle=False)
        told = {**about, LISTED: sorted(arrays)}
        (scratch / "about.json").write_text(json.dumps(told), encoding="utf-8")


def read(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Memory-mapped arrays and the facts; None where nothing was written.

    The arrays may be written to: changes stay in memory and never reach the file.

    Raises:
        OSError: a file was damaged or removed; says which folder to delete.
    """
    if not folder.is_dir():
        return None
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)
            for name in about.pop(LISTED)
        }
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise OSError(f"cannot read the cached images, delete {folder}: {error}") from error
    return arrays, about
