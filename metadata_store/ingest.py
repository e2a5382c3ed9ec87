"""Tables from anywhere into a store: screened, and whole or not at all."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

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
    it was. Several tables are read to their end before the transaction begins: reading
    an archive may take hours, and no other process could write meanwhile.

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

    with _read_whole(batches()) as read:
        added = store.add_batches(read)
    return Ingested(added, usable - added, dict(sorted(rejected.items())))


@contextmanager
def _read_whole(batches: Iterator[Trials]) -> Iterator[Iterable[Trials]]:
    """The same batches, with nothing left to be read from where they came."""
    first, second = next(batches, None), next(batches, None)
    if first is None or second is None:
        yield [] if first is None else [first]
        return
    with tempfile.TemporaryDirectory(prefix="metanas-import-") as folder:
        written = [
            _write(batch, Path(folder) / f"{number}.arrow")
            for number, batch in enumerate(chain([first, second], batches))
        ]
        del first, second
        yield map(_read, written)


def _write(batch: Trials, file: Path) -> Path:
    with pa.ipc.new_stream(str(file), batch.table.schema) as stream:
        stream.write_table(batch.table)
    return file


def _read(file: Path) -> Trials:
    with pa.memory_map(str(file)) as source:
        batch = Trials(pa.ipc.open_stream(source).read_all())
    file.unlink()
    return batch
