"""The user's store, opened for one command."""

from __future__ import annotations

from argparse import Namespace

from metadata_store.store import MetadataStore


def opened(given: Namespace, *, reference: bool = True, writes: bool = False) -> MetadataStore:
    """The store of ``--store``, of $METANAS_STORE, or the user's own.

    Args:
        reference: whether a store made now starts with the reference trials.
        writes: whether the command writes to it, at the latest when its work is done.

    Raises:
        UnreadableStore: it cannot be opened, or not be written to.
    """
    from metadata_store.store import open_user_store

    return open_user_store(given.store, reference=reference, writes=writes)
