"""Replays stored curves instead of training: a whole search in seconds."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.protocols import SearchSpace


class Recorded:
    """Implements `metanas.protocols.Evaluator`.

    An architecture's own records come first, else those of architectures that compute
    the same. Among them, those of the asked seed come first, else those of one other
    seed that depends on the asked one only; the first of these is replayed.

    Trials that did not end are left out, for they would pass for finished ones: those
    that were stopped, those that failed before their curve diverged, and empty curves.
    What diverged is replayed, up to its last value, which is not finite.

    Args:
        space: says which architectures compute the same.
        trials: those of other spaces are passed over.

    Raises:
        ValueError: there is nothing to replay.
    """

    def __init__(self, space: SearchSpace, trials: Trials) -> None:
        own = trials.where(space=space.name)
        usable = own.take(_ended(own))
        if len(usable) == 0:
            spaces = ", ".join(trials.present("space")) or "none"
            found = f"{len(own):,} that were cut short" if len(own) else f"some of: {spaces}"
            raise ValueError(f"need finished trials of space {space.name!r}, got {found}")
        self.space = space
        self.trials = usable
        self._tasks = {name: code for code, name in enumerate(usable.names("task"))}
        self._codes = {each: code for code, each in enumerate(usable.architectures)}
        keys = usable.codes("task").astype(np.int64) * len(self._codes) + usable.architecture_codes
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._equals: dict[Architecture, list[int]] | None = None

    def __call__(
        self, architecture: Architecture, task: Task, *, seed: int
    ) -> Generator[tuple[int, float], None, None]:
        curve = self.record(architecture, task, seed=seed).curve
        yield from zip(curve.epochs, curve.values, strict=True)

    def record(self, architecture: Architecture, task: Task, *, seed: int) -> Trial:
        """The trial that is replayed.

        Raises:
            ValueError: none is of the task and of this architecture or an equal one.
        """
        self.space.validate(architecture)
        code = self._codes.get(architecture)
        rows = self._rows(task, [] if code is None else [code])
        if len(rows) == 0:
            rows = self._rows(task, self._equal_codes(architecture))
        if len(rows) == 0:
            known = ", ".join(sorted(self._tasks))
            raise ValueError(
                f"no record of {self.space.format(architecture)} on task {task.name!r}; "
                f"there are records of {known}"
            )
        seeds = self.trials.seeds[rows]
        recorded = np.unique(seeds)
        replayed = seed if seed in recorded else recorded[seed % len(recorded)]
        return self.trials[int(rows[seeds == replayed][0])]

    def _rows(self, task: Task, architectures: list[int]) -> NDArray[np.int64]:
        """Rows of one task and some architectures' codes, in order; shape (n,)."""
        if task.name not in self._tasks:
            return np.empty(0, np.int64)
        keys = self._tasks[task.name] * len(self._codes) + np.array(architectures, np.int64)
        starts = np.searchsorted(self._keys, keys, "left")
        ends = np.searchsorted(self._keys, keys, "right")
        parts = [self._order[start:end] for start, end in zip(starts, ends, strict=True)]
        return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))

    def _equal_codes(self, architecture: Architecture) -> list[int]:
        if self._equals is None:
            self._equals = {}
            for each, code in self._codes.items():
                self._equals.setdefault(self.space.canonical(each), []).append(code)
        return self._equals.get(self.space.canonical(architecture), [])


def _ended(trials: Trials) -> NDArray[np.bool_]:
    """Which curves hold a training to its end; shape (n,)."""
    whole = np.array(trials.completed)
    rows = np.flatnonzero(~whole & ~trials.stopped & (trials.lengths > 0))
    whole[rows] = ~np.isfinite(trials.flat_values[trials.offsets[rows + 1] - 1])
    return whole & (trials.lengths > 0)
