"""What a ranker has learned, kept in a file: learning takes a minute, reading it a moment.

A file's name is a digest of all that went into it: the sources' numbers, the settings, the
versions of the libraries and this package's own code. So no file ever goes stale. It begins
with a digest of the rest, and one that was damaged is learned anew.

In a folder that several people share each has files of their own and reads no others: trees
are searched without a look at where their branches lead, so that a file made on purpose could
do more than be wrong.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import platform
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
import torch
from filelock import FileLock

from metanas.rankers.boosted import Boosted, Habits
from metanas.rankers.curve_table import CurveTable
from metanas.rankers.ensemble import Ensemble, Member
from metanas.rankers.learning import Learned, Learner
from metanas.rankers.margin_net import MarginNet
from metanas.rankers.peers import Peers
from metanas.rankers.runs import Prior
from metanas.rankers.source_prior import SourcePrior
from metanas.rankers.sources import Sources
from metanas.rankers.surfaces import Basis, Smoothness, Surface
from tasks import cache

log = logging.getLogger(__name__)

SUFFIX, PART, LOCK = ".ranker", ".part", ".lock"

MOST = 4
"""Files of one's own in a folder; of more, those longest unused are deleted. What is learned of
the reference takes 36 MB."""

MARK = 32
"""Bytes of the digest that a file begins with."""

LONGEST_WAIT = 900.0
"""Seconds for another process to learn the same; then it is taken to hang."""


OWN = (
    *(Basis, Boosted, CurveTable, Ensemble, Habits, Learned, MarginNet, Member, Peers, Prior),
    *(Smoothness, SourcePrior, Surface),
)

ALLOWED = {
    *((each.__module__, each.__qualname__) for each in OWN),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.random._pcg64", "PCG64"),
    ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random._pickle", "__generator_ctor"),
    ("numpy.random.bit_generator", "SeedSequence"),
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
    ("sklearn._loss._loss", "CyHalfPoissonLoss"),
    ("sklearn._loss._loss", "CyHalfSquaredError"),
    ("sklearn._loss.link", "IdentityLink"),
    ("sklearn._loss.link", "Interval"),
    ("sklearn._loss.link", "LogLink"),
    ("sklearn._loss.loss", "HalfPoissonLoss"),
    ("sklearn._loss.loss", "HalfSquaredError"),
    ("sklearn.ensemble._hist_gradient_boosting.binning", "_BinMapper"),
    (
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
        "HistGradientBoostingRegressor",
    ),
    ("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor"),
}
"""What a file may name, by module and name."""


ARRAY = "array"
"""Stands for NumPy's class while a file is read."""


def default_folder() -> Path:
    """Beside the prepared images, see `tasks.cache`."""
    return cache.default_folder() / "rankers"


def name_of(learner: Learner, sources: Sources) -> str:
    """A name for what is learned from these sources in this way."""
    mark = hashlib.blake2b(digest_size=16)
    libraries = [each.__version__ for each in (np, scipy, sklearn, torch)]
    versions = platform.python_version(), *libraries
    mark.update(repr((versions, learner)).encode())
    code = resources.files(__package__)
    for file in sorted(code.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".py"):
            mark.update(file.read_bytes())
    names = [table.task for table in sources.tables]
    mark.update(repr((sources.grid.epochs, sources.scale, names)).encode())
    arrays = [sources.grid.positions, sources.noise]
    for table in sources.tables:
        arrays += [table.codes, table.curves, table.final]
    for array in arrays:
        mark.update(repr(array.shape).encode())
        mark.update(np.ascontiguousarray(array).tobytes())
    return mark.hexdigest()


def kept(folder: Path, learner: Learner, sources: Sources) -> Learned:
    """What was learned from these sources in this way; if need be now, and put there.

    Of several processes that ask at once one learns, and the others wait for it. Where the
    folder cannot be used nothing is kept.
    """
    path = folder / f"{name_of(learner, sources)}-{_me()}{SUFFIX}"
    before = _state(path)
    found = _read(path)
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(LOCK), timeout=LONGEST_WAIT)
        lock.acquire()
    # The latter where the file system knows no locks.
    except (OSError, NotImplementedError) as error:
        log.warning("what is learned is not kept: %s", error)
        return learner(sources)
    try:
        # Another process may have put one there meanwhile; the same would be told of twice.
        found = _read(path) if _state(path) != before else None
        if found is None:
            found = learner(sources)
            _write(path, found)
        return found
    finally:
        lock.release()


def _me() -> int:
    """This user's number; 0 for all where the system has none."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _state(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from one written later; None where there is none to be seen."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def _read(path: Path) -> Learned | None:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_uid != _me():
                log.warning("%s is another user's and is learned anew", path)
                return None
            mark, content = file.read(MARK), file.read()
        if mark != _mark(content):
            raise pickle.UnpicklingError("the file is damaged")
        found = _Unpickler(io.BytesIO(content)).load()
    except MemoryError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        return None
    # What this very code did not write raises almost anything.
    except Exception as error:  # noqa: BLE001
        log.warning("%s is learned anew: %s", path, error)
        return None
    with suppress(OSError):  # where nothing can be written
        os.utime(path)
    return found if isinstance(found, Learned) else None


def _mark(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=MARK).digest()


def _write(path: Path, learned: Learned) -> None:
    content = pickle.dumps(learned, protocol=5)
    part = path.with_name(f"{path.stem}.{uuid.uuid4().hex}{PART}")
    try:
        with part.open("wb") as file:
            file.write(_mark(content))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        log.warning("what was learned is not kept: %s", error)
        part.unlink(missing_ok=True)
        return
    try:
        _tidy(path.parent)
    except OSError as error:
        log.warning("older files in %s are not deleted: %s", path.parent, error)


def _tidy(folder: Path) -> None:
    """Deletes files longest unused, and what killed processes left."""
    for old, _ in sorted(_own(folder, SUFFIX), key=lambda each: each[1])[:-MOST]:
        old.unlink(missing_ok=True)
    aged = time.time() - LONGEST_WAIT
    for part, changed in _own(folder, PART):
        if changed < aged:
            part.unlink(missing_ok=True)
    for lock, changed in _own(folder, LOCK):
        # Who still waits for it learns the same once more, which does no harm.
        if changed < aged and not lock.with_suffix(SUFFIX).exists():
            lock.unlink(missing_ok=True)


def _own(folder: Path, suffix: str) -> Iterator[tuple[Path, float]]:
    """This user's files with their times of change."""
    for path in folder.glob(f"*{suffix}"):
        with suppress(FileNotFoundError):
            state = path.stat()
            if state.st_uid == _me():
                yield path, state.st_mtime


def _array(kind: str, shape: tuple[int, ...], _: bytes) -> np.ndarray[Any, Any]:
    """What NumPy's pickles begin an array with; its kind is `_Unpickler`'s word for one."""
    if kind != ARRAY:
        raise pickle.UnpicklingError(f"makes an array of {kind!r}")
    return np.empty(shape, np.int8)  # it takes its values and their type afterwards


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Where NumPy 1 has them.
        known = module.replace("numpy.core", "numpy._core"), name
        # Called with bytes, an array's class would take them for addresses of objects.
        if known == ("numpy", "ndarray"):
            return ARRAY
        if known == ("numpy._core.multiarray", "_reconstruct"):
            return _array
        if known not in ALLOWED:
            raise pickle.UnpicklingError(f"names {module}.{name}")
        return super().find_class(module, name)
