"""A store that lives as long as its process: batches in a list."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import NAMES, Trials
from metadata_store.errors import DuplicateTask, UnknownTask
from metadata_store.records import Task, Trial, require_storable
from metadata_store.store import StoreInfo, completes


class MemoryStore:
    """Implements `MetadataStore` for the threads of one process."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._batches: list[Trials] = []
        self._identities: set[tuple[int, ...]] = set()
        self._codes: dict[str, int] = {}
        self._lock = threading.Lock()

    def add_task(self, task: Task) -> None:
        require_storable(task.name)
        with self._lock:
            known = self._tasks.get(task.name)
            if known is not None and not completes(task, known):
                raise DuplicateTask.of(known.name, known.kind)
            self._tasks[task.name] = task

    def task(self, name: str) -> Task:
        with self._lock:
            if name not in self._tasks:
                raise UnknownTask.among(name, self._tasks)
            return self._tasks[name]

    def tasks(self) -> list[Task]:
        with self._lock:
            return [self._tasks[name] for name in sorted(self._tasks)]

    def add_trials(self, trials: Iterable[Trial]) -> int:
        return self.add_batches([Trials.of(trials)])

    def add_batches(self, batches: Iterable[Trials]) -> int:
        arrived = [batch for batch in batches if len(batch)]
        for batch, column in product(arrived, NAMES):
            require_storable(*batch.present(column))
        with self._lock:
            fresh = [batch.take(self._is_new(batch)) for batch in arrived]
            self._batches += [batch for batch in fresh if len(batch)]
            for batch in fresh:
                for name in batch.present("task"):
                    self._tasks.setdefault(name, Task.table(name))
            return sum(map(len, fresh))

    def trials(self, *, task: str | None = None, space: str | None = None) -> Iterator[Trial]:
        return iter(self.batch(tasks=None if task is None else [task], space=space))

    def batch(self, *, tasks: Sequence[str] | None = None, space: str | None = None) -> Trials:
        with self._lock:
            if len(self._batches) != 1:
                self._batches = [Trials.concat(self._batches)]
            batch = self._batches[0]
        if tasks is not None:
            chosen = np.isin(batch.names("task"), list(tasks))
            batch = batch.take(chosen[batch.codes("task")] if len(batch) else [])
        return batch if space is None else batch.where(space=space)

    def info(self) -> StoreInfo:
        batch = self.batch()
        counts = np.bincount(batch.codes("space"), minlength=len(batch.names("space"))).tolist()
        spaces = dict(zip(batch.names("space"), counts, strict=True))
        curves = batch.lengths[batch.lengths >= 2]
        return StoreInfo(
            tasks=len(self._tasks),
            trials=len(batch),
            curves=len(curves),
            points=(int(curves.min()), int(curves.max())) if len(curves) else (0, 0),
            spaces={name: spaces[name] for name in sorted(spaces) if spaces[name]},
            revision="",
        )

    def close(self) -> None:
        """Nothing to release."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _is_new(self, batch: Trials) -> NDArray[np.bool_]:
        """Which rows are seen for the first time, shape (n,); remembers them."""
        columns = []
        for column in ("task", "space", "architecture", "source"):
            codes = [self._codes.setdefault(name, len(self._codes)) for name in batch.names(column)]
            columns.append(np.array(codes)[batch.codes(column)].tolist())
        new = np.zeros(len(batch), np.bool_)
        for row, identity in enumerate(zip(*columns, batch.seeds.tolist(), strict=True)):
            if identity not in self._identities:
                self._identities.add(identity)
                new[row] = True
        return new
