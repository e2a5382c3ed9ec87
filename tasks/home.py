"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path


def at_home(path: str) -> Path:
    """The path with a leading ``~`` written out; of an unknown user it stays, and is not there."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
