"""Benchmarks and other tools' records, read as trials.

An importer is a function from a location (a path or URL) to chunks of the trial table.
It holds one chunk in memory at a time where the format allows it, never opens a store,
and converts at the border: scores are higher-is-better fractions, epochs count from 1.
Its rows are as good as their source: `metadata_store.filters` tells the unusable ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from metanas.importers.lcbench import read_lcbench
from metanas.importers.mlflow import read_mlflow
from metanas.importers.nas_bench_graph import read_nas_bench_graph
from metanas.importers.nasbench201 import read_nasbench201
from metanas.importers.optuna import read_optuna
from metanas.importers.trials import read_trials

Importer = Callable[[str], Iterator[pa.Table]]
"""Yields chunks with the columns of `metadata_store.batch.SCHEMA`.

Raises:
    ValueError: the location is missing, empty, truncated or of another layout; one line
        that names it.
"""

IMPORTERS: dict[str, Importer] = {
    "trials": read_trials,
    "nasbench201": read_nasbench201,
    "nas-bench-graph": read_nas_bench_graph,
    "lcbench": read_lcbench,
    "mlflow": read_mlflow,
    "optuna": read_optuna,
}
"""By the name of the format."""
