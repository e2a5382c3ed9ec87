"""Which trials are of use, and why the others are not.

Two doors, one judgement: `why_unusable` looks at a record, `screen` at the raw
rows of a table from anywhere. A row that `screen` lets through makes a valid
`Trial` that `why_unusable` has nothing against, and the other way round.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from metadata_store.batch import ENCODED, NAMES, SCHEMA, STATES, Trials
from metadata_store.records import (
    INT32_MAX,
    LARGEST,
    Architecture,
    Choice,
    Trial,
    TrialState,
    is_storable,
)
from metadata_store.table import conform

Domain = Mapping[str, tuple[Choice, ...] | None]
"""By choice the values it may take, None where it may be any number."""

Domains = Mapping[str, Domain]
"""By space; a space that is not listed accepts any choices."""

BAD_ARCHITECTURE = "architecture is no JSON object of choices"
UNKNOWN_CHOICE = "unknown choice"
MISSING_CHOICE = "missing choice"
BAD_SEED = "seed out of range"
UNKNOWN_STATE = "unknown state"
LENGTHS_DIFFER = "epochs and values differ in length"
EMPTY_CURVE = "empty curve"
NOT_INCREASING = "epochs not increasing"
BAD_EPOCH = "epoch out of range"
INFINITE = "infinite value"
BAD_SCORE = "score out of range"
BAD_SECONDS = "seconds out of range"
BAD_EXTRAS = "extras are no JSON object of numbers"


def no_name(column: str) -> str:
    """The reason for an empty name."""
    return f"no {column} name"


def bad_name(column: str) -> str:
    """The reason for a name that no store can hold."""
    return f"unusable {column} name"


def is_null(column: str) -> str:
    """The reason for a null, in the row or in its list."""
    return f"null in {column}"


def why_unusable(trial: Trial, domains: Domains) -> str | None:
    """Why a trial is of no use, None where it is of use."""
    named = (trial.task, trial.curve.metric, trial.architecture.space, trial.source)
    for column, name in zip(NAMES, named, strict=True):
        if not name:
            return no_name(column)
        if not is_storable(name):
            return bad_name(column)
    domain = domains.get(trial.architecture.space)
    reason = None if domain is None else _outside(trial.architecture, domain)
    if reason is not None:
        return reason
    values = trial.curve.values if _is_fraction(trial.curve.metric) else ()
    if any(value < 0.0 or value > 1.0 for value in values):
        return BAD_SCORE
    if trial.seconds < 0 or math.isinf(trial.seconds):
        return BAD_SECONDS
    return None


def screen(table: pa.Table, domains: Domains) -> tuple[Trials, dict[str, int]]:
    """The usable rows of a table, and how many were not by reason.

    Args:
        table: untrusted, with the columns of `SCHEMA`; see `metadata_store.table.conform`.

    Raises:
        ValueError: a column is missing or of another type.
    """
    table = conform(table)
    nulls = _against_nulls(table)
    table = table.filter(pa.array(nulls.usable))
    columns = {name: _whole(table.column(name)) for name in SCHEMA.names}
    found = _Findings(table.num_rows)

    encoded = {name: columns[name].dictionary_encode() for name in ENCODED}
    for name in NAMES:
        names = encoded[name].dictionary.to_pylist()
        found.against(_each(encoded[name], [not text for text in names]), no_name(name))
        unfit = [not is_storable(text) for text in names]
        found.against(_each(encoded[name], unfit), bad_name(name))
    columns["architecture"] = _against_architectures(found, encoded, domains)
    states = encoded["state"].dictionary.to_pylist()
    found.against(_each(encoded["state"], [text not in STATES for text in states]), UNKNOWN_STATE)
    seeds = columns["seed"].to_numpy()
    found.against((seeds < -INT32_MAX - 1) | (seeds > INT32_MAX), BAD_SEED)
    _against_curves(found, columns, encoded)
    columns["seconds"] = columns["seconds"].fill_null(math.nan)
    seconds = columns["seconds"].to_numpy()
    found.against((seconds < 0) | np.isinf(seconds), BAD_SECONDS)
    texts = columns["extras"].to_pylist()
    known = {text: _are_numbers(text) for text in set(texts)}
    found.against(np.array([not known[text] for text in texts], np.bool_), BAD_EXTRAS)

    screened = pa.table([columns[name] for name in SCHEMA.names], names=SCHEMA.names)
    usable = screened.filter(pa.array(found.usable))
    for index, field in enumerate(SCHEMA):
        if field.name != "architecture":
            usable = usable.set_column(index, field, usable.column(index).cast(field.type))
    return Trials(usable), nulls.counts() | found.counts()


class _Findings:
    """The first reason found against each of n rows."""

    def __init__(self, n: int) -> None:
        self._codes = np.zeros(n, np.int16)  # 0: nothing was found
        self._reasons: list[str] = []

    def against(self, rows: NDArray[Any], reason: str) -> None:
        """Notes a reason against rows, by mask or by number."""
        if rows.dtype != np.bool_ or rows.any():
            self._reasons.append(reason)
            hit = np.zeros(len(self._codes), np.bool_)
            hit[rows] = True
            self._codes[hit & (self._codes == 0)] = len(self._reasons)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Rows with nothing against them, shape (n,)."""
        return np.asarray(self._codes == 0)

    def counts(self) -> dict[str, int]:
        """Rows by reason."""
        counts = Counter(self._reasons[code - 1] for code in self._codes[self._codes > 0])
        return dict(counts)


def _against_nulls(table: pa.Table) -> _Findings:
    found = _Findings(table.num_rows)
    for name in SCHEMA.names:
        column = _whole(table.column(name))
        if name != "seconds":  # null is one more way to write unknown
            found.against(column.is_null().to_numpy(zero_copy_only=False), is_null(name))
        if pa.types.is_list(column.type):
            lengths = pc.list_value_length(column).fill_null(0).to_numpy()
            inside = column.flatten().is_null().to_numpy(zero_copy_only=False)
            found.against(_rows(lengths)[inside], is_null(name))
    return found


def _against_architectures(
    found: _Findings, encoded: Mapping[str, pa.DictionaryArray], domains: Domains
) -> pa.DictionaryArray:
    """The column in canonical text, empty where a row has no architecture."""
    spaces = encoded["space"].dictionary.to_pylist()
    texts = encoded["architecture"].dictionary.to_pylist()
    text_codes = _codes(encoded["architecture"])
    pairs, codes = np.unique(
        _codes(encoded["space"]) * max(len(texts), 1) + text_codes, return_inverse=True
    )
    canonical: dict[str, int] = {"": 0}
    judged = []
    for pair in pairs.tolist():
        reason, text = _judged(spaces[pair // len(texts)], texts[pair % len(texts)], domains)
        judged.append((reason, canonical.setdefault(text, len(canonical))))
    for reason in (BAD_ARCHITECTURE, UNKNOWN_CHOICE, MISSING_CHOICE):
        hit = np.array([why == reason for why, _ in judged], np.bool_)
        found.against(hit[codes], reason)
    rows = np.array([code for _, code in judged], np.int32)[codes]
    return pa.DictionaryArray.from_arrays(rows, pa.array(canonical, pa.string()))


def _judged(space: str, text: str, domains: Domains) -> tuple[str | None, str]:
    """What is against an architecture, and its canonical text."""
    try:
        architecture = Architecture.from_json(space or "unnamed", text)
    except ValueError:
        return BAD_ARCHITECTURE, ""
    domain = domains.get(space)
    return None if domain is None else _outside(architecture, domain), architecture.json


def _against_curves(
    found: _Findings, columns: Mapping[str, pa.Array], encoded: Mapping[str, pa.DictionaryArray]
) -> None:
    n_epochs = pc.list_value_length(columns["epochs"]).to_numpy()
    n_values = pc.list_value_length(columns["values"]).to_numpy()
    states = encoded["state"].dictionary.to_pylist()
    failed = _each(encoded["state"], [text == TrialState.FAILED for text in states])
    found.against(n_epochs != n_values, LENGTHS_DIFFER)
    found.against((n_epochs == 0) & ~failed, EMPTY_CURVE)

    epochs, rows = columns["epochs"].flatten().to_numpy(), _rows(n_epochs)
    before = np.concatenate([[0], epochs[:-1]])
    before[np.flatnonzero(np.diff(rows, prepend=-1))] = 0  # where a curve begins
    found.against(rows[epochs <= before], NOT_INCREASING)
    found.against(rows[epochs > INT32_MAX], BAD_EPOCH)

    values, rows = columns["values"].flatten().to_numpy(), _rows(n_values)
    found.against(rows[np.isinf(values)], INFINITE)
    metrics = encoded["metric"].dictionary.to_pylist()
    fraction = _each(encoded["metric"], [_is_fraction(metric) for metric in metrics])
    found.against(rows[((values < 0.0) | (values > 1.0)) & fraction[rows]], BAD_SCORE)


def _are_numbers(text: str) -> bool:
    try:
        extras = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(extras, dict) and all(
        isinstance(value, float)
        or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST)
        for value in extras.values()
    )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _codes(column: pa.DictionaryArray) -> NDArray[np.int64]:
    return np.asarray(column.indices.to_numpy(), np.int64)


def _each(column: pa.DictionaryArray, of_name: list[bool]) -> NDArray[np.bool_]:
    """What is true of a row's name, shape (n,)."""
    return np.array(of_name, np.bool_)[_codes(column)]


def _rows(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    """Which row each entry of a flattened list column belongs to."""
    return np.repeat(np.arange(len(lengths)), lengths)


def _is_fraction(metric: str) -> bool:
    return metric.endswith("accuracy")


def _outside(architecture: Architecture, domain: Domain) -> str | None:
    """Why an architecture is none of a space."""
    for name, choice in architecture.choices.items():
        if name not in domain:
            return UNKNOWN_CHOICE
        allowed = domain[name]
        if allowed is None:
            known = isinstance(choice, int | float) and not isinstance(choice, bool)
        else:
            known = any(choice == value and _both_or_neither(choice, value) for value in allowed)
        if not known:
            return UNKNOWN_CHOICE
    return MISSING_CHOICE if len(architecture.choices) < len(domain) else None


def _both_or_neither(choice: Choice, value: Choice) -> bool:
    """Whether both are booleans, or none is: Python's ``True == 1`` is no match here."""
    return isinstance(choice, bool) == isinstance(value, bool)
