"""How fast the store is, and how it grows: ``python -m metadata_store.benchmark``.

Trials of 50 epochs are imported from a trial table into a new SQLite file, read
back as columns and counted. Each step is a process of its own, its start
included in the time, so that its peak of memory is its own as well.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from metadata_store.batch import SCHEMA, Trials
from metadata_store.ingest import ingest
from metadata_store.store import open_store
from metadata_store.table import read_tables, write_table

EPOCHS = 50
CELLS = 15_625
EDGES = ("op_0_1", "op_0_2", "op_0_3", "op_1_2", "op_1_3", "op_2_3")
OPERATIONS = ("avg_pool_3x3", "none", "nor_conv_1x1", "nor_conv_3x3", "skip_connect")
ROWS_AT_ONCE = 50_000

TARGETS = {"import": 20.0, "read": 2.0, "info": 0.5}
"""Seconds allowed for `TARGET_ROWS` trials on two cores."""

TARGET_ROWS = 100_000

COUNT = "import sys; from metadata_store.store import open_store; open_store(sys.argv[1]).info()"


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        rows: trials.
        distinct: whether every trial has an architecture of its own, rather
            than one of the 15,625 cells of a tabular benchmark.
    """

    rows: int
    distinct: bool


@dataclass(frozen=True)
class Step:
    """One process.

    Attributes:
        seconds: from its start to its end.
        megabytes: its peak of resident memory.
    """

    seconds: float
    megabytes: float


def batches(case: Case, *, seed: int = 0) -> Iterator[Trials]:
    """Random trials, the same for a seed."""
    rng = np.random.default_rng(seed)
    for start in range(0, case.rows, ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, case.rows))
        yield Trials(_table(case, rows, rng))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one line a case."""
    parser = argparse.ArgumentParser(prog="python -m metadata_store.benchmark", description=__doc__)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N"
    )
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.step is not None:
        STEPS[given.step](given.url, given.table)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(json.dumps({"megabytes": peak}))
        return
    cases = [Case(rows, distinct) for rows in given.rows for distinct in (False, True)]
    sys.stdout.write(
        f"{'trials':>9} {'architectures':>13} {'table MB':>9} {'import s':>9} {'peak MB':>8} "
        f"{'store MB':>9} {'read s':>7} {'peak MB':>8} {'info s':>7}\n"
    )
    for case in cases:
        sys.stdout.write(_line(case))
        sys.stdout.flush()


def _line(case: Case) -> str:
    with tempfile.TemporaryDirectory(prefix="metanas-bench-") as folder:
        table, store = Path(folder) / "trials.parquet", Path(folder) / "store.db"
        url = f"sqlite:///{store}"
        write_table(table, batches(case))
        took = {step: _run(step, url, table) for step in STEPS}
        seconds = {
            step: f"{took[step].seconds:.2f}{_mark(case, step, took[step])}" for step in took
        }
        return (
            f"{case.rows:>9,} {case.rows if case.distinct else min(CELLS, case.rows):>13,} "
            f"{_size(table):>9.1f} {seconds['import']:>9} {took['import'].megabytes:>8.0f} "
            f"{_size(store):>9.1f} {seconds['read']:>7} {took['read'].megabytes:>8.0f} "
            f"{seconds['info']:>7}\n"
        )


def _mark(case: Case, step: str, took: Step) -> str:
    late = case.rows == TARGET_ROWS and took.seconds > TARGETS[step]
    return f" > {TARGETS[step]:g}!" if late else ""


def _size(path: Path) -> float:
    return path.stat().st_size / 1e6


def _run(step: str, url: str, table: Path) -> Step:
    command = [sys.executable, "-m", "metadata_store.benchmark"]
    command += ["--step", step, "--url", url, "--table", str(table)]
    if step == "info":  # as a user's own command would, without the benchmark's imports
        command = [sys.executable, "-c", COUNT, url]
    begin = time.perf_counter()
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.perf_counter() - begin
    return Step(seconds, json.loads(said)["megabytes"] if said else float("nan"))


def _import(url: str, table: Path) -> None:
    with open_store(url) as store:
        ingest(store, read_tables(table), {"nasbench201": dict.fromkeys(EDGES, OPERATIONS)})


def _read(url: str, table: Path) -> None:
    with open_store(url) as store:
        batch = store.batch()
        batch.flat_values.sum()


def _info(url: str, table: Path) -> None:
    with open_store(url) as store:
        store.info()


STEPS: dict[str, Callable[[str, Path], None]] = {"import": _import, "read": _read, "info": _info}


def _table(case: Case, rows: np.ndarray, rng: np.random.Generator) -> pa.Table:
    n = len(rows)
    if case.distinct:
        space = "mlp"
        texts = [
            json.dumps({"layers": row % 9, "rate": row / 1e7, "units": row % 1024})
            for row in rows.tolist()
        ]
    else:
        space = "nasbench201"
        texts = [_cell(row) for row in (rows % CELLS).tolist()]
    steps = rng.exponential(0.02, (n, EPOCHS)).cumsum(axis=1)
    values = (1.0 - np.exp(-steps)).astype(np.float32)
    offsets = np.arange(0, n * EPOCHS + 1, EPOCHS, dtype=np.int32)
    params = rng.integers(1_000, 2_000_000, n).tolist()
    columns = {
        "task": [f"task{row // CELLS % 20}" for row in rows.tolist()],
        "metric": ["val_accuracy"] * n,
        "space": [space] * n,
        "architecture": texts,
        "seed": (rows // (20 * CELLS)).astype(np.int32),
        "state": ["completed"] * n,
        "source": ["benchmark"] * n,
        "seconds": rng.uniform(10.0, 1000.0, n),
        "epochs": pa.ListArray.from_arrays(
            offsets, np.tile(np.arange(1, EPOCHS + 1, dtype=np.int32), n)
        ),
        "values": pa.ListArray.from_arrays(offsets, values.ravel()),
        "extras": [f'{{"params": {count}}}' for count in params],
    }
    return pa.table(columns, schema=SCHEMA)


def _cell(number: int) -> str:
    choices = {}
    for edge in EDGES:
        number, operation = divmod(number, len(OPERATIONS))
        choices[edge] = OPERATIONS[operation]
    return json.dumps(choices)


if __name__ == "__main__":
    main()
