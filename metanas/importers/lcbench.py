"""LCBench: learning curves of 2,000 multi-layer perceptrons on each of 35 data sets.

[LCBench] Zimmer et al. Auto-PyTorch Tabular: Multi-Fidelity MetaLearning for Efficient
and Robust AutoDL. TPAMI 2021.

Reads the published JSON (``data_2k.json``, ``data_2k_lw.json``, ``six_datasets_lw.json``:
a data set's name → a configuration's number → config, log, results) as it streams by:
the files are of hundreds of megabytes, one configuration is in memory at a time. They
hold ``Infinity`` and ``NaN``, which is why no strict JSON parser will do.

A log has 52 entries for 50 epochs: the first is before training, the last another
evaluation after it. Both are dropped; epoch 1 is the second entry. Accuracies are
percents in the file. A task is named after its OpenML number, ``openml_168331``, or as
in the file where that is not given.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from metanas.importers.chunks import Row, chunks, row
from metanas.importers.location import existing

SPACE = "lcbench_mlp"
SOURCE = "lcbench"
CHOICES = {
    "batch_size": int,
    "learning_rate": float,
    "max_dropout": float,
    "max_units": int,
    "momentum": float,
    "num_layers": int,
    "weight_decay": float,
}
"""Hyperparameters that vary, each with its type; all others are constant."""

BLOCK = 1 << 20
LARGEST = 1 << 26
"""Characters read at a time, and allowed in one configuration."""


def read_lcbench(location: str) -> Iterator[pa.Table]:
    """Trials of the benchmark, a configuration at a time.

    Args:
        location: the JSON file.

    Raises:
        ValueError: no such file, truncated, or of another layout.
    """
    path = existing(location)
    if not path.is_file():
        raise ValueError(f"{path}: want LCBench's JSON file, got a folder")
    yield from chunks(_rows(path), where=location)


def _rows(path: Path) -> Iterator[Row]:
    found = False
    with path.open(encoding="utf-8") as file:
        reader = _Reader(file, str(path))
        for dataset in reader.members():
            for number in reader.members():
                entry = reader.value()
                found = True
                try:
                    trial = _trial(dataset, entry)
                except (
                    ArithmeticError,
                    AttributeError,
                    LookupError,
                    TypeError,
                    ValueError,
                ) as error:
                    raise ValueError(
                        f"{path}: want config, log and results of each configuration, "
                        f"{dataset} {number} has not: {type(error).__name__}: {error}"
                    ) from error
                yield trial
        reader.end()
    if not found:
        raise ValueError(f"{path}: want at least one configuration, got none")


def _trial(dataset: str, entry: Mapping[str, Any]) -> Row:
    config, log, results = entry["config"], entry["log"], entry["results"]
    percents = log["Train/val_accuracy"][1:-1]
    times = log.get("time")
    number = results.get("OpenML_task_id")
    test, params = results.get("final_test_accuracy"), results.get("model_parameters")
    return row(
        task=dataset if number is None else f"openml_{int(number)}",
        metric="val_accuracy",
        space=SPACE,
        choices={name: kind(config[name]) for name, kind in CHOICES.items()},
        source=SOURCE,
        seed=int(results.get("seed", 0)),
        epochs=range(1, len(percents) + 1),
        values=[math.nan if percent is None else float(percent) / 100 for percent in percents],
        seconds=float(times[-2] - times[0]) if times else None,
        extras={
            "test_score": None if test is None else float(test) / 100,
            "params": None if params is None else int(params),
        },
    )


class _Reader:
    """A JSON document walked from its start, with one block and one value in memory."""

    def __init__(self, file: TextIO, where: str) -> None:
        self._file = file
        self._where = where
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder()

    def members(self) -> Iterator[str]:
        """Enters an object and yields its keys; the caller reads each value."""
        self._expect("{")
        while self._peek() != "}":
            key = self.value()
            if not isinstance(key, str):
                raise self._error(f"want a key, got {str(key)[:40]}")
            self._expect(":")
            yield key
            if self._peek() != "}":
                self._expect(",")
        self._expect("}")

    def value(self) -> Any:
        """Reads an object, array or string as a whole."""
        if self._peek() not in ("{", "[", '"'):
            raise self._error(f"want an object, an array or a string, got {self._ahead()}")
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LARGEST or not self._more():
                    raise self._error(
                        f"want JSON, got text that ends or breaks: {error.msg}"
                    ) from None
            except RecursionError:
                raise self._error("want JSON, got one nested too deep") from None
            else:
                return value

    def end(self) -> None:
        """Checks that nothing follows."""
        if self._peek():
            raise self._error(f"want one JSON object, got {self._ahead()} after it")

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._error(f"want {sign!r}, got {self._ahead()}")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _ahead(self) -> str:
        return repr(self._text[self._at : self._at + 40] or "the end")

    def _more(self) -> bool:
        try:
            block = self._file.read(BLOCK)
        except UnicodeDecodeError as error:
            raise self._error(f"want UTF-8 text, got {error.reason}") from None
        self._text, self._at = self._text[self._at :] + block, 0
        return bool(block)

    def _error(self, detail: str) -> ValueError:
        return ValueError(f"{self._where}: {detail}")
