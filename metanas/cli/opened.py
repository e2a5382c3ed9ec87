"""The user's store, opened for one command."""

from __future__ import annotations

from argparse import Namespace

from metadata_store.store import MetadataStore


def opened(given: Namespace, *, reference: bool = True) -> MetadataStore:
    """The store of ``--store``, of $METANAS_STORE, or the user's own.

    Args:
        reference: whether a store made now starts with the reference trials.

    Raises:
        UnreadableStore: it cannot be opened.
    """
    from metadata_store.store import open_user_store

    return open_user_store(given.store, reference=reference)
