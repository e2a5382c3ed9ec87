"""The platform's own trial table."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from metadata_store.table import read_tables


def read_trials(location: str) -> Iterator[pa.Table]:
    """Rows of a trial table, as `metadata_store.table.read_tables`.

    Args:
        location: the Parquet file.
    """
    yield from read_tables(location)
