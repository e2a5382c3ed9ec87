"""Tables from anywhere into a store: screened, and whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from metadata_store.batch import Trials
from metadata_store.filters import Domains, screen
from metadata_store.store import MetadataStore


@dataclass(frozen=True)
class Ingested:
    """What became of the rows.

    Attributes:
        added: trials that are new in the store.
        known: trials the store already had; it keeps what it has.
        rejected: unusable rows by reason.
    """

    added: int
    known: int
    rejected: dict[str, int]


def ingest(store: MetadataStore, tables: Iterable[pa.Table], domains: Domains) -> Ingested:
    """Adds the usable rows of all tables in one transaction.

    One table is in memory at a time. Where `tables` raises, the store stays as
    it was.

    Args:
        tables: untrusted rows; see `metadata_store.filters.screen`.
        domains: what each space allows.

    Raises:
        ValueError: a table lacks a column or has one of another type.
    """
    usable = 0
    rejected: Counter[str] = Counter()

    def batches() -> Iterator[Trials]:
        nonlocal usable
        for table in tables:
            batch, unusable = screen(table, domains)
            usable += len(batch)
            rejected.update(unusable)
            yield batch

    added = store.add_batches(batches())
    return Ingested(added, usable - added, dict(sorted(rejected.items())))
