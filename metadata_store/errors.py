"""What can go wrong with a store, each also the nearest built-in error."""

from __future__ import annotations


class StoreError(Exception):
    """Base of the store's own errors."""


class UnknownTask(StoreError, LookupError):
    """No task of that name is registered."""


class DuplicateTask(StoreError, ValueError):
    """The name already belongs to a task whose data is known."""


class UnreadableStore(StoreError, OSError):
    """The URL names nothing that can be opened as a store of this or an older schema."""


class UnreadableTable(StoreError, ValueError):
    """A file is no trial table: truncated, empty or of another schema."""
