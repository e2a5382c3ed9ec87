"""Random architectures that compute different things."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from metadata_store.records import Architecture
from metanas.protocols import SearchSpace
from metanas.spaces.random_chooser import RandomChooser

IN_VAIN = 2_000
"""Draws in a row that gave nothing new, after which a space is looked at closer."""


def different(
    space: SearchSpace, number: int, *, seed: int, always: Iterable[Architecture] = ()
) -> list[Architecture]:
    """Those always included, then random ones, as many as are wanted in all.

    Raises:
        ValueError: the space has not so many.
    """
    chosen = {space.canonical(each): each for each in always}
    rng = np.random.default_rng(seed)
    in_vain = 0
    for _ in range(1000 * number):
        if len(chosen) >= number:
            return list(chosen.values())
        if in_vain == IN_VAIN and not _has_so_many(space, number):
            break
        drawn = space.suggest(RandomChooser(rng))
        before = len(chosen)
        chosen.setdefault(space.canonical(drawn), drawn)
        in_vain = in_vain + 1 if len(chosen) == before else 0
    raise ValueError(
        f"space {space.name!r} has not {number} different architectures, found {len(chosen)}"
    )


def _has_so_many(space: SearchSpace, number: int) -> bool:
    """Whether a space has more to draw; one that cannot be listed is taken at what was seen."""
    listed = space.enumerate()
    return listed is not None and len({space.canonical(each) for each in listed}) >= number
