"""Pickles read without running what they name.

A pickle may name any function and have it called. Here only those that rebuild
containers and NumPy values are known; all others are refused before any call.

Why any exception counts as a broken file: on bytes that are no pickle, or a part of
one, the unpicklers raise whatever the next operation on their stack runs into.
"""

from __future__ import annotations

import math
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class _Type:
    """A NumPy type of plain values, as a pickle describes it: a code, then a byte order.

    Why not NumPy's own: its state may hold fields and flags that disagree with each other,
    and reading values of such a type reads memory that is not theirs.
    """

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        self.known = np.dtype(code)
        if self.known.kind not in KINDS:
            raise ValueError(f"numbers and texts may be in an array, got {code!r}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *parts = state
        if any(part is not None for part in parts[:3]):
            raise ValueError("a type of plain values has no parts")
        self.known = self.known.newbyteorder(order)


class _Array(np.ndarray[Any, Any]):
    """An array that nobody but its own state fills."""

    def __new__(cls) -> _Array:
        return super().__new__(cls, (0,), np.int8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, given, fortran, raw = state
        if not isinstance(given, _Type) or not isinstance(raw, bytes):
            raise ValueError("an array holds the bytes of plain values")
        if min(shape, default=0) < 0 or math.prod(shape) * given.known.itemsize != len(raw):
            raise ValueError(f"an array of shape {shape} has not {len(raw)} bytes")
        super().__setstate__((version, shape, given.known, bool(fortran), raw))  # type: ignore[arg-type]


class _Name:
    """Stands for a class that a pickle names but may not call."""


_NDARRAY = _Name()


def _array(kind: object, shape: object, code: object) -> _Array:
    """An array yet to be filled, whatever shape it is said to have until then."""
    if kind is not _NDARRAY:
        raise ValueError("only NumPy's own arrays are rebuilt")
    return _Array()


def _scalar(given: object, raw: object) -> Any:
    if not isinstance(given, _Type) or not isinstance(raw, bytes):
        raise ValueError("a number is made of its type and bytes")
    (value,) = np.frombuffer(raw, given.known)
    return value


def _bytes(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 write bytes."""
    if encoding != "latin1":
        raise ValueError(f"bytes are written as latin1, got {encoding}")
    return text.encode("latin1")


KINDS = "biufcSU"
"""Of NumPy's types: truth values, numbers and texts, which are nothing but their bytes."""

ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _bytes,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
}
"""What a pickle may name, by module and name; other containers and numbers need no name."""


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
    try:
        # Their states are set as well, and the unpickler asks for their classes then.
        with torch.serialization.safe_globals([*safe, _Type, _Array]):
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
