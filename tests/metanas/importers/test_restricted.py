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
    assert type(read) is type(content)
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
    with pytest.raises(ValueError, match="refused"):
        load(io.BytesIO(pickle.dumps(array)), where="here")


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
