from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanas.importers.restricted import load, load_torch

PLAIN = [
    {"a": [1, 2.5, None, True, "text", (1, 2)], ("t", 3): b"bytes"},
    OrderedDict(b=1, a=2),
    {1, 2, 3},
    np.float64(0.25),
    np.int32(7),
    np.arange(6, dtype=np.float32).reshape(2, 3),
]


@pytest.mark.parametrize("content", PLAIN, ids=lambda content: type(content).__name__)
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_data_comes_back(content: Any, protocol: int) -> None:
    read = load(io.BytesIO(pickle.dumps(content, protocol=protocol)), where="here")
    assert isinstance(read, type(content))
    assert np.array_equal(read, content) if isinstance(content, np.ndarray) else read == content


@pytest.mark.parametrize("content", PLAIN, ids=lambda content: type(content).__name__)
def test_plain_data_comes_back_from_torch(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "data.pth"
    torch.save({"content": content, "weights": torch.ones(2)}, file)
    read = load_torch(file)["content"]
    assert np.array_equal(read, content) if isinstance(content, np.ndarray) else read == content


def test_names_of_older_and_newer_numpy_are_the_same() -> None:
    text = pickle.dumps(np.float64(0.5), protocol=2)
    older = text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    newer = text.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")
    assert load(io.BytesIO(older), where="") == load(io.BytesIO(newer), where="") == 0.5


@pytest.mark.parametrize(
    "named", [eval, print, Path, io.open, pickle.loads, np.load, getattr, torch.load]
)
def test_whatever_else_is_named_is_refused_by_its_name(named: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^here: refused.*{named.__name__}$"):
        load(io.BytesIO(pickle.dumps({"a": named})), where="here")
    file = tmp_path / "data.pth"
    torch.save({"a": named}, file)
    with pytest.raises(ValueError, match=r"data\.pth: refused"):
        load_torch(file)


def test_an_object_array_hides_nothing() -> None:
    array = np.empty(1, object)
    array[0] = print
    with pytest.raises(ValueError, match="numbers and texts"):
        load(io.BytesIO(pickle.dumps(array)), where="here")


class _Calls:
    """Pickled as a call."""

    def __init__(self, function: Any, *given: Any) -> None:
        self._call = (function, given)

    def __reduce__(self) -> Any:
        return self._call


class _Hostile:
    """Pickled as an object that is made and then given a state."""

    def __init__(self, made: tuple[Any, tuple[Any, ...]], state: Any) -> None:
        self._all = (*made, state)

    def __reduce__(self) -> Any:
        return self._all


_RECONSTRUCT, _EMPTY, _ = np.empty(0).__reduce__()
_SCALAR = np.float64(0).__reduce__()[0]
_FIELDS = _Hostile(
    (np.dtype, ("V8", False, True)),
    (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0),
)


@pytest.mark.parametrize(
    "crafted",
    [
        _Calls(np.ndarray, (1,), "O", b"A" * 8),
        _Calls(np.ndarray, (1,), "f8", b"A" * 8),
        _Calls(_SCALAR, _FIELDS, b"A" * 8),
        _Calls(_SCALAR, np.dtype("f8"), b"A" * 4),
        _Calls(_SCALAR, np.dtype("f8"), b""),
        _Calls(_SCALAR, np.dtype("O"), b"A" * 8),
        _Hostile((_RECONSTRUCT, _EMPTY), (1, (9,), np.dtype("f8"), False, b"A" * 8)),
        _Hostile((_RECONSTRUCT, _EMPTY), (1, (-1, -1), np.dtype("f8"), False, b"A" * 8)),
        _Hostile((_RECONSTRUCT, _EMPTY), (1, (1,), np.dtype("O"), False, [b"A"])),
        _Hostile((_RECONSTRUCT, _EMPTY), (1, (1,), _FIELDS, False, b"A" * 8)),
    ],
)
def test_memory_that_is_not_the_file_is_never_read(crafted: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^here: "):
        load(io.BytesIO(pickle.dumps({"a": crafted}, protocol=2)), where="here")
    file = tmp_path / "data.pth"
    torch.save({"a": crafted}, file)
    with pytest.raises(ValueError, match=r"data\.pth: "):
        load_torch(file)


@pytest.mark.parametrize("code", [">f8", "<i2", "?", "U3", "S2", ">c8"])
def test_arrays_of_every_byte_order_are_read(code: str) -> None:
    array = np.array([[1, 0, 1], [0, 1, 1]]).astype(code)
    for content in (array, np.asfortranarray(array)):
        read = load(io.BytesIO(pickle.dumps(content, protocol=4)), where="here")
        assert (read.dtype.kind, read.dtype.itemsize) == (content.dtype.kind, content.itemsize)
        assert np.array_equal(read, content)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_an_error_of_one_line(content: bytes) -> None:
    try:
        load(io.BytesIO(content), where="here")
    except ValueError as error:
        text = str(error)
    else:
        return
    assert text.startswith("here: ")
    assert "\n" not in text


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.floats(0, 0.999), st.booleans())
def test_a_cut_torch_file_is_an_error_of_one_line(
    tmp_path: Path, share: float, zipped: bool
) -> None:
    file = tmp_path / "data.pth"
    torch.save({"content": PLAIN}, file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"data\.pth: (want a whole|refused)") as caught:
        load_torch(file)
    assert "\n" not in str(caught.value)
