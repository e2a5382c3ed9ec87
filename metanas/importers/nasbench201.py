"""NAS-Bench-201 and NATS-Bench's topology space: 15,625 cells on three data sets.

[NAS-Bench-201] Dong and Yang. NAS-Bench-201: Extending the Scope of Reproducible
Neural Architecture Search. ICLR 2020.
[NATS-Bench] Dong et al. NATS-Bench: Benchmarking NAS Algorithms for Architecture
Topology and Size. TPAMI 2021.

Reads, without running anything they name:

- a folder ``NATS-tss-v1_0-3ffb9-simple``, one ``000000.pickle.pbz2`` a cell, or the
  archive of NAS-Bench-201, one ``000000-FULL.pth`` a cell: one cell in memory at a time;
- ``NATS-tss-v1_0-3ffb9.pickle.pbz2`` or ``NAS-Bench-201-v1_1-096897.pth``: one pickle of
  all cells, which has to be in memory as a whole (tens of gigabytes for the latter).

One trial a cell, data set and seed, of the 200-epoch schedule. Options after ``#``:
``schedule=12`` reads the 12-epoch one; ``curve=test`` takes accuracy on the original
test set instead of the validation set.

Why these splits: the benchmark trained on CIFAR-10 twice, and only the run named
``cifar10-valid`` held out validation data, so that one is task ``cifar10``; its
validation accuracy is there after every epoch. On the other two the validation half of
the test set was measured after the last epoch only, and every epoch on both halves
together. The score must not see test data, hence one point by default, and whole
curves under another metric and source on request.
"""

from __future__ import annotations

import bz2
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from metanas.importers.chunks import Row, chunks, row
from metanas.importers.location import existing, split
from metanas.importers.restricted import load, load_torch
from metanas.spaces.nasbench201 import NasBench201

SOURCE = "nasbench201"
ONE_CELL = re.compile(r"\d+(-FULL|-SIMPLE)?\.(pth|pickle\.pbz2)")
SCHEDULES = {"200": ("200", "full"), "12": ("12", "less")}
"""Epochs of a schedule, and how NATS-Bench and NAS-Bench-201 call it."""


@dataclass(frozen=True)
class Split:
    """Which of the recorded runs and measurements make a task's trials.

    Attributes:
        run: what the network was trained on.
        curve: the measured set whose accuracy is the curve.
        test: the set whose last accuracy is ``test_score``.
    """

    run: str
    curve: str
    test: str


CURVES: dict[str, tuple[str, dict[str, Split]]] = {
    "validation": (
        "val_accuracy",
        {
            "cifar10": Split("cifar10-valid", "x-valid", "ori-test"),
            "cifar100": Split("cifar100", "x-valid", "x-test"),
            "imagenet16-120": Split("ImageNet16-120", "x-valid", "x-test"),
        },
    ),
    "test": (
        "test_accuracy",
        {
            "cifar10": Split("cifar10", "ori-test", "ori-test"),
            "cifar100": Split("cifar100", "ori-test", "x-test"),
            "imagenet16-120": Split("ImageNet16-120", "ori-test", "x-test"),
        },
    ),
}
"""By the option ``curve``: the metric, and each task's splits."""


def read_nasbench201(location: str) -> Iterator[pa.Table]:
    """Trials of the benchmark, a cell at a time.

    Args:
        location: a file or folder of the benchmark, with options as above.

    Raises:
        ValueError: no such file, not in the benchmark's layout, or a pickle that names
            more than plain data.
    """
    base, options = split(location, ("schedule", "curve"))
    schedule, curve = options.get("schedule", "200"), options.get("curve", "validation")
    if schedule not in SCHEDULES or curve not in CURVES:
        raise ValueError(
            f"{location}: want schedule {' or '.join(SCHEDULES)} and curve "
            f"{' or '.join(CURVES)}, got {schedule} and {curve}"
        )
    yield from chunks(_rows(existing(base), schedule, curve), where=base)


def _rows(path: Path, schedule: str, curve: str) -> Iterator[Row]:
    space = NasBench201()
    found = False
    for file, cell in _cells(path):
        try:
            name = next(name for name in SCHEDULES[schedule] if name in cell)
            text = space.parse(cell[name]["arch_str"]).json
            for trial in _trials(cell[name]["all_results"], schedule, curve):
                found = True
                yield row(space=space.name, choices=text, **trial)
        except (StopIteration, *_LAYOUT) as error:
            raise ValueError(
                f"{file}: want each cell's results by schedule, as in the benchmark's files; "
                f"got {type(error).__name__}: {error}"
            ) from error
    if not found:
        raise ValueError(f"{path}: want results of at least one cell, got none")


def _cells(path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if ONE_CELL.fullmatch(file.name))
        if not files:
            raise ValueError(f"{path}: want a folder with 000000.pickle.pbz2 and so on, got none")
        for file in files:
            yield file, _loaded(file)
        return
    content = _loaded(path)
    if ONE_CELL.fullmatch(path.name):
        yield path, content
        return
    cells = content.get("arch2infos")
    if not isinstance(cells, dict):
        raise ValueError(
            f"{path}: want a dict with 'arch2infos', got {', '.join(map(str, content))}"
        )
    for index in sorted(cells):
        yield path, cells.pop(index)


def _loaded(path: Path) -> dict[str, Any]:
    if path.suffix == ".pth":
        content = load_torch(path)
    else:
        with bz2.open(path) as file:
            content = load(file, where=str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path}: want a dict, got {type(content).__name__}")
    return content


def _trials(results: Mapping[Any, Any], schedule: str, curve: str) -> Iterator[dict[str, Any]]:
    metric, splits = CURVES[curve]
    runs = {name: dict[int, Any]() for name in {part.run for part in splits.values()}}
    for (name, seed), run in results.items():
        if name in runs:
            runs[name][int(seed)] = run
    marks = [SOURCE] + [f"{schedule}-epochs"] * (schedule != "200") + ["test"] * (curve == "test")
    for task, part in splits.items():
        costs = _costs(runs[part.run])
        for seed, run in sorted(runs[part.run].items()):
            accuracy = _accuracy(run, part.curve)
            test = _accuracy(run, part.test)
            times = run["train_times"]
            yield {
                "task": task,
                "metric": metric,
                "source": ":".join(marks),
                "seed": seed,
                "epochs": list(accuracy),
                "values": list(accuracy.values()),
                "seconds": sum(times.values()) if times else None,
                "extras": {"test_score": test[max(test)] if test else None, **costs},
            }


def _accuracy(run: Mapping[str, Any], measured: str) -> dict[int, float]:
    """Fractions by epoch, from 1; the file has percents, from 0."""
    found = {}
    for key, percent in run["eval_acc1es"].items():
        name, _, epoch = key.partition("@")
        if name == measured:
            found[int(epoch) + 1] = math.nan if percent is None else float(percent) / 100
    return dict(sorted(found.items()))


def _costs(runs: Mapping[int, Mapping[str, Any]]) -> dict[str, float | None]:
    """What the seeds of one cell share.

    Why seed 888: some files have wrong counts for other seeds, and the benchmark's own
    interface trusts that one where they differ.
    """
    if not runs:
        return {}
    counted = runs.get(888, next(iter(runs.values())))
    latencies = [second for run in runs.values() for second in run["latency"] or () if second > 0]
    return {
        "params": round(1e6 * counted["params"]),
        "flops": round(1e6 * counted["flop"]),
        "latency_s": float(sum(latencies) / len(latencies)) if latencies else None,
    }


_LAYOUT = (AttributeError, LookupError, TypeError, ValueError, OverflowError)
"""What reading a field raises where the file has another layout."""
