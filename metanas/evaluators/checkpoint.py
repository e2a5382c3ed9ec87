"""One file that holds a training as it stood after its last epoch."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tasks import cache

State = Mapping[str, Any]
"""Tensors, numbers, strings and containers of them: what loads without running code."""


NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems without links say when asked for one."""


def default_folder() -> Path:
    """Beside the prepared images, see `tasks.cache`."""
    return cache.default_folder() / "checkpoints"


def write(path: Path, state: State, *, replace: bool = True) -> None:
    """Replaces the file; whoever reads it sees the old state or the new one, never a part.

    Missing folders are made.

    Args:
        replace: else nothing is written where there is a file; of several that write at once,
            one does.

    Raises:
        FileExistsError: there is a file that is not to be replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process in the name keeps apart two that train the same by mistake.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        torch.save(dict(state), part)
        if replace:
            part.replace(path)
        else:
            _place(part, path)
    finally:
        part.unlink(missing_ok=True)


def _place(part: Path, path: Path) -> None:
    """Gives the file its name unless another has it: `Path.replace` would not look."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # There a file is empty for a moment, but still one takes the name.
        path.touch(exist_ok=False)
        part.replace(path)


def read(path: Path) -> State | None:
    """The state in the file, its tensors on the CPU; None where there is no file.

    Raises:
        ValueError: the file is no checkpoint.
    """
    if not path.exists():
        return None
    try:
        return load(path)
    except ValueError as error:
        raise ValueError(f"{path} is no checkpoint; delete it to train anew ({error})") from error


def resume(path: Path, take: Callable[[State], None]) -> None:
    """Hands the state in the file to a training, if there is a file.

    Raises:
        ValueError: the file is no checkpoint, or not such a training's.
    """
    state = read(path)
    if state is None:
        return
    try:
        take(state)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    # What PyTorch raises of other weights is a RuntimeError; the others are of other content.
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        line = " ".join(str(error).split())[:80]
        raise ValueError(
            f"{path} is no checkpoint of this training; delete it to train anew "
            f"({type(error).__name__}: {line})"
        ) from error


def load(path: Path) -> State:
    """What `write` wrote, its tensors on the CPU.

    Raises:
        ValueError: the file holds something else, or only a part.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    # Damaged bytes make it raise almost anything, OSError and KeyError among them.
    except Exception as error:
        raise ValueError(f"damaged, or of another kind: {type(error).__name__}") from error
    if not isinstance(state, dict):
        raise ValueError(f"need a mapping, got {type(state).__name__}")
    return state
