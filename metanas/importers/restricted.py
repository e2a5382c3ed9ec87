"""Pickles read without running what they name.

A pickle may name any function and have it called. Here only those that rebuild
containers and NumPy values are known; all others are refused before any call.

Why any exception counts as a broken file: on bytes that are no pickle, or a part of
one, the unpicklers raise whatever the next operation on their stack runs into.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

_SCALAR = np.float64(0).__reduce__()[0]
_ARRAY = np.empty(0).__reduce__()[0]


def _bytes(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 write bytes."""
    if encoding != "latin1":
        raise ValueError(f"bytes are written as latin1, got {encoding}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _bytes,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY,
}
"""What a pickle may name, by module and name; other containers and numbers need no name."""

NUMBERS = (np.float64, np.float32, np.int64, np.int32)
"""Types of NumPy values in a file of tensors."""


class Readable(Protocol):
    """A binary file, as the unpickler uses it."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self) -> bytes: ...


def load(file: Readable, *, where: str) -> Any:
    """The object of a pickle.

    Args:
        where: the file's name, for the error.

    Raises:
        ValueError: truncated, empty, no pickle, or it names what is not in `ALLOWED`.
    """
    try:
        return _Unpickler(file).load()
    except _NotAllowed as error:
        raise _refused(where, str(error)) from None
    except Exception as error:
        raise _unreadable(where, error) from error


def load_torch(path: Path) -> Any:
    """The object of a file written by ``torch.save``, on the CPU.

    Raises:
        ValueError: as `load`.
    """
    import torch

    safe = [(function, f"{module}.{name}") for (module, name), function in ALLOWED.items()]
    dtypes = [type(np.dtype(number)) for number in NUMBERS]
    try:
        with torch.serialization.safe_globals([*safe, *dtypes]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        named = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error))
        if named and isinstance(error, pickle.UnpicklingError):
            raise _refused(str(path), named[1]) from None
        raise _unreadable(str(path), error) from error


class _NotAllowed(Exception):
    """The pickle names something that is not on the list; nothing was called."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise _NotAllowed(f"{module}.{name}") from None


def _refused(where: str, name: str) -> ValueError:
    return ValueError(f"{where}: refused, want a pickle of plain data, got one that calls {name}")


def _unreadable(where: str, error: BaseException) -> ValueError:
    detail = " ".join(str(error).split())[:120] or type(error).__name__
    return ValueError(f"{where}: want a whole pickle of plain data, got {detail}")
