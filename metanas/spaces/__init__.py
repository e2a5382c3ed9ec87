"""Search spaces by name, and the one that fits given trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from metadata_store.batch import Trials
from metadata_store.records import Trial
from metanas.protocols import SearchSpace
from metanas.spaces.darts import Darts
from metanas.spaces.nasbench201 import NasBench201
from metanas.spaces.table import TableSpace

SPACES: dict[str, type[NasBench201] | type[TableSpace] | type[Darts]] = {
    "nasbench201": NasBench201,
    "table": TableSpace,
    "darts": Darts,
}
"""Every space's class; the key is the name of its file."""

NAMED: dict[str, Callable[..., NasBench201 | Darts]] = {
    NasBench201.name: NasBench201,
    "darts": Darts,
    "darts-2": partial(Darts, nodes=2),
}
"""Spaces that need no trials to be known, by `Architecture.space`."""


def space_of(trials: Iterable[Trial], name: str | None = None) -> SearchSpace:
    """The space of these trials: the registered one of that name, else their table.

    Args:
        trials: of one space, unless `name` says which of several is meant.
        name: as in `Architecture.space`; by default that of the trials.

    Raises:
        ValueError: there are no trials to infer a space from, or they are of several.
    """
    batch = Trials.of(trials)
    if name is None:
        names = sorted(batch.present("space"))
        if len(names) != 1:
            raise ValueError(f"need trials of one space, got {', '.join(names) or 'none'}")
        name = names[0]
    if name in NAMED:
        return NAMED[name]()
    return TableSpace.of(batch, name)
