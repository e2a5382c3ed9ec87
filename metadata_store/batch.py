"""Trials in bulk: columns instead of a million objects.

A batch wraps an Arrow table with the columns of the trial table, the strings
dictionary-encoded, and gives NumPy views of it. It is a sequence of `Trial`,
made on demand, so whatever takes a sequence of trials takes a batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from metadata_store.records import Architecture, LearningCurve, Trial, TrialState

SCHEMA = pa.schema(
    [
        pa.field("task", pa.string()),
        pa.field("metric", pa.string()),
        pa.field("space", pa.string()),
        pa.field("architecture", pa.string()),
        pa.field("seed", pa.int32()),
        pa.field("state", pa.string()),
        pa.field("source", pa.string()),
        pa.field("seconds", pa.float64()),
        pa.field("epochs", pa.list_(pa.int32())),
        pa.field("values", pa.list_(pa.float32())),
        pa.field("extras", pa.string()),
    ]
)
"""The trial table's columns."""

ENCODED = ("task", "metric", "space", "architecture", "state", "source")
"""Columns held as a dictionary of distinct strings and one code a row."""

NAMES = ("task", "metric", "space", "source")
"""Columns of names, which stores hold up to a length, see `records.NAME_BYTES`."""

STATES = tuple(state.value for state in TrialState)


class Trials(Sequence[Trial]):
    """A batch of n trials.

    Args:
        table: with the columns of `SCHEMA`, perhaps of wider types; those of `ENCODED`
            may already be dictionaries. Its rows are trusted: see `metadata_store.filters`
            for what is not.
    """

    def __init__(self, table: pa.Table) -> None:
        columns = []
        for field in SCHEMA:
            column = table.column(field.name)
            if field.name not in ENCODED:
                column = column.cast(field.type)
            elif not pa.types.is_dictionary(column.type):
                column = pc.dictionary_encode(column)
            columns.append(column)
        table = pa.table(columns, names=SCHEMA.names)
        self.table: pa.Table = table.unify_dictionaries().combine_chunks()

    # Making batches

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> Trials:
        """The batch of these trials; a batch is returned as it is."""
        if isinstance(trials, Trials):
            return trials
        rows = list(trials)
        columns: dict[str, list[object]] = {
            "task": [row.task for row in rows],
            "metric": [row.curve.metric for row in rows],
            "space": [row.architecture.space for row in rows],
            "architecture": [row.architecture.json for row in rows],
            "seed": [row.seed for row in rows],
            "state": [row.state.value for row in rows],
            "source": [row.source for row in rows],
            "seconds": [row.seconds for row in rows],
            "epochs": [row.curve.epochs for row in rows],
            "values": [row.curve.values for row in rows],
            "extras": [json.dumps(dict(row.extras), sort_keys=True) for row in rows],
        }
        return cls(pa.table(columns, schema=SCHEMA))

    @classmethod
    def concat(cls, batches: Iterable[Trials]) -> Trials:
        """One batch of all rows, in order."""
        tables = [batch.table for batch in batches]
        return cls(pa.concat_tables(tables)) if tables else cls.of([])

    def take(self, rows: ArrayLike) -> Trials:
        """The rows at these positions, or where a boolean mask is true."""
        array = np.asarray(rows)
        if array.dtype == np.bool_:
            return Trials(self.table.filter(pa.array(array)))
        return Trials(self.table.take(pa.array(array.astype(np.int64))))

    # As a sequence of trials

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> Trials: ...
    def __getitem__(self, index: int | slice) -> Trial | Trials:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return next(iter(Trials(self.table.slice(index % len(self), 1))))

    def __iter__(self) -> Iterator[Trial]:
        architectures: dict[tuple[str, str], Architecture] = {}
        for part in self.table.to_batches(max_chunksize=10_000):
            for row in part.to_pylist():
                name = row["space"], row["architecture"]
                architecture = architectures.get(name)
                if architecture is None:
                    architecture = architectures[name] = Architecture.from_json(*name)
                yield Trial(
                    task=row["task"],
                    architecture=architecture,
                    curve=LearningCurve(row["metric"], tuple(row["epochs"]), tuple(row["values"])),
                    state=TrialState(row["state"]),
                    seed=row["seed"],
                    source=row["source"],
                    seconds=row["seconds"],
                    extras=json.loads(row["extras"]),
                )

    # As columns

    def names(self, column: str) -> list[str]:
        """Distinct strings of an encoded column; some may occur in no row."""
        return list(self._encoded(column).dictionary.to_pylist())

    def codes(self, column: str) -> NDArray[np.int32]:
        """Index into ``names(column)``, shape (n,)."""
        return np.asarray(self._encoded(column).indices.to_numpy(zero_copy_only=False), np.int32)

    def where(self, **equal: str) -> Trials:
        """The rows whose encoded columns have these values."""
        mask = np.ones(len(self), dtype=bool)
        for column, value in equal.items():
            names = self.names(column)
            mask &= self.codes(column) == (names.index(value) if value in names else -1)
        return self if mask.all() else self.take(mask)

    def present(self, column: str) -> list[str]:
        """Distinct strings that occur in some row, in order of first appearance."""
        names = self.names(column)
        codes, first = np.unique(self.codes(column), return_index=True)
        return [names[code] for code in codes[np.argsort(first)]]

    @cached_property
    def architectures(self) -> list[Architecture]:
        """Distinct architectures, in order of first appearance."""
        return self._distinct[0]

    @cached_property
    def architecture_codes(self) -> NDArray[np.int64]:
        """Index into ``architectures``, shape (n,)."""
        return self._distinct[1]

    @cached_property
    def seeds(self) -> NDArray[np.int32]:
        """Shape (n,)."""
        return np.asarray(self._array("seed").to_numpy())

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """Training time, NaN where unknown, shape (n,)."""
        return np.asarray(self._array("seconds").to_numpy())

    @cached_property
    def completed(self) -> NDArray[np.bool_]:
        """Shape (n,)."""
        return self._is_state(TrialState.COMPLETED)

    @cached_property
    def stopped(self) -> NDArray[np.bool_]:
        """Shape (n,)."""
        return self._is_state(TrialState.STOPPED)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Row i's curve is ``flat_values[offsets[i]:offsets[i + 1]]``; shape (n + 1,)."""
        raw = np.asarray(self._array("values").offsets.to_numpy(), np.int64)
        return raw - raw[0] if len(raw) else np.zeros(1, np.int64)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Points of each curve, shape (n,)."""
        return np.diff(self.offsets)

    @cached_property
    def flat_values(self) -> NDArray[np.float32]:
        """All curves one after the other."""
        flat = self._array("values").flatten()
        return np.asarray(flat.to_numpy(zero_copy_only=False), np.float32)

    @cached_property
    def flat_epochs(self) -> NDArray[np.int32]:
        """Epochs of ``flat_values``."""
        flat = self._array("epochs").flatten()
        return np.asarray(flat.to_numpy(zero_copy_only=False), np.int32)

    def curves(self) -> NDArray[np.float32]:
        """Curves padded with NaN at the end, shape (n, longest); see ``lengths``."""
        longest = int(self.lengths.max(initial=0))
        padded = np.full((len(self), longest), np.nan, np.float32)
        padded[np.arange(longest) < self.lengths[:, None]] = self.flat_values
        return padded

    @cached_property
    def best(self) -> NDArray[np.float64]:
        """Highest finite value of each curve whatever its state, else NaN; shape (n,)."""
        best = np.full(len(self), np.nan)
        some = np.flatnonzero(self.lengths)
        if len(some):
            best[some] = np.fmax.reduceat(self.flat_values, self.offsets[some])
        return best

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """`Trial.score` of each row, NaN for None; shape (n,)."""
        return np.where(self.completed, self.best, np.nan)

    def extra(self, name: str) -> NDArray[np.float64]:
        """One of the extras by name, NaN where a row lacks it; shape (n,)."""
        texts = self._array("extras").to_pylist()
        return np.array([json.loads(text).get(name, np.nan) for text in texts], np.float64)

    @cached_property
    def _distinct(self) -> tuple[list[Architecture], NDArray[np.int64]]:
        names, spaces = self.names("architecture"), self.names("space")
        pairs = self.codes("space").astype(np.int64) * max(len(names), 1)
        pairs += self.codes("architecture")
        found, first, codes = np.unique(pairs, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        distinct = [
            Architecture.from_json(spaces[pair // len(names)], names[pair % len(names)])
            for pair in found[order]
        ]
        return distinct, rank[codes]

    def _is_state(self, state: TrialState) -> NDArray[np.bool_]:
        names = self.names("state")
        code = names.index(state.value) if state.value in names else -1
        return np.asarray(self.codes("state") == code)

    def _encoded(self, column: str) -> pa.DictionaryArray:
        return self._array(column)

    def _array(self, column: str) -> pa.Array:
        chunks = self.table.column(column)
        if chunks.num_chunks == 1:
            return chunks.chunk(0)
        return chunks.combine_chunks()
