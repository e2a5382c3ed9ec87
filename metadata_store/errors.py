"""What can go wrong with a store, each also the nearest built-in error."""

from __future__ import annotations

from collections.abc import Iterable


class StoreError(Exception):
    """Base of the store's own errors."""


class UnknownTask(StoreError, LookupError):
    """No task of that name is registered."""

    @classmethod
    def among(cls, name: str, known: Iterable[str]) -> UnknownTask:
        """Names the known ones nearest to what was asked for."""
        from difflib import get_close_matches

        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            hint = f"near it: {', '.join(near)}"
        elif names:
            hint = f"the store has {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        else:
            hint = "the store has no tasks"
        return cls(f"no task {name!r}; {hint}")


class DuplicateTask(StoreError, ValueError):
    """The name already belongs to another task."""

    @classmethod
    def of(cls, name: str, kind: str) -> DuplicateTask:
        """Says of what kind the registered task is."""
        return cls(f"a task {name!r} of kind {kind!r} is already registered")


class UnreadableStore(StoreError, OSError):
    """The URL names nothing that can be opened as a store of this or an older schema."""


class LostStore(StoreError, ConnectionError):
    """A database that was open is out of reach: its server was stopped, or its disk is full."""


class UnreadableTable(StoreError, ValueError):
    """A file is no trial table: truncated, empty or of another schema."""
