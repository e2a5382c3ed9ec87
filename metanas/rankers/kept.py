"""What a ranker has learned, kept in a file: learning takes a minute, reading it a moment.

A file's name is a digest of all that went into it: the sources' numbers, the settings, the
versions of the libraries and this package's own code. So no file ever goes stale, and one
that cannot be used is learned anew.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
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

SUFFIX = ".ranker"

MOST = 4
"""Files in a folder; of more, those longest unused are deleted. The reference's has 40 MB."""


LONGEST_WAIT = 900.0
"""Seconds for another process to learn the same; then it is taken to hang."""


OWN = (
    *(Basis, Boosted, CurveTable, Ensemble, Habits, Learned, MarginNet, Member, Peers, Prior),
    *(Smoothness, SourcePrior, Surface),
)

ALLOWED = {
    *((each.__module__, each.__qualname__) for each in OWN),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
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
"""What a file may name, by module and name: another's file in the folder calls nothing else."""


def default_folder() -> Path:
    """Beside the prepared images, see `tasks.cache`."""
    return cache.default_folder() / "rankers"


def name_of(learner: Learner, sources: Sources) -> str:
    """A name for what is learned from these sources in this way."""
    mark = hashlib.blake2b(digest_size=16)
    versions = np.__version__, sklearn.__version__, torch.__version__
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
    path = folder / f"{name_of(learner, sources)}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"), timeout=LONGEST_WAIT)
        lock.acquire()
    # The latter where the file system knows no locks.
    except (OSError, NotImplementedError) as error:
        log.warning("what is learned is not kept: %s", error)
        return learner(sources)
    try:
        found = _read(path)
        if found is None:
            found = learner(sources)
            _write(path, found)
        return found
    finally:
        lock.release()


def _read(path: Path) -> Learned | None:
    try:
        found = _Unpickler(io.BytesIO(path.read_bytes())).load()
        os.utime(path)
    except MemoryError:
        raise
    except FileNotFoundError:
        return None
    # Damaged bytes make it raise almost anything.
    except Exception as error:  # noqa: BLE001
        log.warning("%s is learned anew: %s", path, error)
        return None
    return found if isinstance(found, Learned) else None


def _write(path: Path, learned: Learned) -> None:
    # Only who holds the lock writes.
    part = path.with_suffix(".part")
    try:
        part.write_bytes(pickle.dumps(learned, protocol=5))
        part.replace(path)
        files = sorted(path.parent.glob(f"*{SUFFIX}"), key=lambda each: each.stat().st_mtime)
        for old in files[:-MOST]:
            old.unlink(missing_ok=True)
            old.with_suffix(".lock").unlink(missing_ok=True)
    except OSError as error:
        log.warning("what was learned is not kept: %s", error)
        part.unlink(missing_ok=True)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Where NumPy 1 has them.
        known = module.replace("numpy.core", "numpy._core"), name
        if known not in ALLOWED:
            raise pickle.UnpicklingError(f"names {module}.{name}")
        return super().find_class(module, name)
