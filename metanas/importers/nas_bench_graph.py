"""NAS-Bench-Graph: 26,206 graph neural networks on eight data sets, 2,021 on a ninth.

[NAS-Bench-Graph] Qin et al. NAS-Bench-Graph: Benchmarking Graph Neural Architecture
Search. NeurIPS 2022 (data sets and benchmarks).

Reads the ``*.bench`` files of the PyPI package ``nas-bench-graph`` (one pickled dict a
data set, means over three seeds); none of the package's code is run. The separate
multi-gigabyte logs of single seeds are not read: the package holds final values only,
so a curve has one point, at the last epoch of the data set's schedule.

An architecture is a graph of four nodes, each an operation on one input. Node 1 takes
the input features, node k (2 to 4) takes them or an earlier node (``in_k``); all leaves
feed the output. Of the graphs that compute the same the benchmark keeps one.

Why validation: the benchmark's search selects by it; test performance is an extra.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from metanas.importers.chunks import Row, as_json, chunks, row
from metanas.importers.restricted import load

SPACE = "nas-bench-graph"
SOURCE = "nas-bench-graph"
PACKAGE = "nas_bench_graph"
SUFFIX = ".bench"

EPOCHS = {
    "cora": 400,
    "citeseer": 400,
    "pubmed": 500,
    "cs": 400,
    "physics": 200,
    "photo": 500,
    "computers": 500,
    "arxiv": 500,
    "proteins": 500,
}
"""The data sets, each with the length of its training schedule."""

METRICS = {"proteins": "val_roc_auc"}
"""Data sets measured otherwise than by accuracy."""

LINKS = (
    (0, 0, 0, 0),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (0, 0, 1, 2),
    (0, 0, 1, 3),
    (0, 1, 1, 1),
    (0, 1, 1, 2),
    (0, 1, 2, 2),
    (0, 1, 2, 3),
)
"""Input of each node, 0 the features; by the first digit of a key."""

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
"""By the later digits of a key, one a node."""

FIELDS = ("valid_perf", "perf", "latency", "para")


def read_nas_bench_graph(location: str) -> Iterator[pa.Table]:
    """Trials of the benchmark, a data set at a time.

    Args:
        location: a ``.bench`` file or a folder of them; empty or the benchmark's
            name for the installed package.

    Raises:
        ValueError: no such file, or not in the benchmark's layout.
    """
    for path in _files(location):
        yield from chunks(_rows(path), where=str(path))


def choices_of(key: int) -> dict[str, str]:
    """The choices an architecture's key stands for.

    Raises:
        ValueError: no such architecture.
    """
    digits = [int(digit) for digit in f"{key:05d}"]
    if len(digits) != 5 or max(digits) >= 9:
        raise ValueError(f"want a key of five digits below 9, got {key}")
    inputs = ("input", "node_1", "node_2", "node_3")
    links = LINKS[digits[0]]
    return {
        **{f"in_{node}": inputs[links[node - 1]] for node in (2, 3, 4)},
        **{f"op_{node}": OPERATIONS[digits[node]] for node in (1, 2, 3, 4)},
    }


def _files(location: str) -> list[Path]:
    if location in ("", SPACE):
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(
                f"want the package {SPACE} installed, or a folder of *{SUFFIX} files; got neither"
            )
        path = Path(spec.submodule_search_locations[0]) / "light"
    else:
        path = Path(location)
    if path.is_file():
        return [path]
    found = [path / f"{name}{SUFFIX}" for name in EPOCHS]
    present = [file for file in found if file.is_file()]
    if not present:
        raise ValueError(f"{path}: want a folder with {found[0].name} and the like, found none")
    return present


def _rows(path: Path) -> Iterator[Row]:
    task = path.stem
    if task not in EPOCHS:
        raise ValueError(f"{path}: want a file named after one of {', '.join(EPOCHS)}")
    with path.open("rb") as file:
        bench = load(file, where=str(path))
    if not isinstance(bench, dict) or not bench:
        raise ValueError(f"{path}: want a dict of architectures, got {type(bench).__name__}")
    for key, entry in bench.items():
        yield row(
            task=task,
            metric=METRICS.get(task, "val_accuracy"),
            space=SPACE,
            source=SOURCE,
            epochs=(EPOCHS[task],),
            **_measured(key, entry, path),
        )


def _measured(key: Any, entry: Any, path: Path) -> dict[str, Any]:
    try:
        valid, test, latency, millions = (float(entry[field]) for field in FIELDS)
        text = as_json(choices_of(int(key)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: want {', '.join(FIELDS)} of each architecture, entry {key!r} has not: {error}"
        ) from error
    params = round(1e6 * millions) if math.isfinite(millions) else None
    extras = {"test_score": test, "latency_s": latency, "params": params}
    return {"choices": text, "values": (valid,), "extras": extras}
