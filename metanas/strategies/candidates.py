"""What a strategy that scores architectures chooses from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Trial
from metanas.protocols import SearchSpace
from metanas.spaces.random_chooser import RandomChooser

MOST_LISTED = 30_000
"""Larger spaces are sampled, so that a suggestion takes no longer there."""

DRAWN = 1000
NEIGHBOURS = 50
"""Mutants of each good architecture: a third each after one, two and three changes."""

TRIES = 100


def listed(space: SearchSpace) -> Sequence[Architecture] | None:
    """All architectures, None where there are too many to score each time."""
    every = space.enumerate()
    return None if every is None or len(every) > MOST_LISTED else every


def drawn(
    space: SearchSpace,
    good: Sequence[Architecture],
    rng: np.random.Generator,
    *,
    every: Sequence[Architecture] | None = None,
) -> list[Architecture]:
    """Random architectures and mutants of good ones, each once.

    Args:
        every: all architectures where they are listed, to draw from.
    """
    if every is None:
        found = {each.key: each for each in islice(random_draws(space, rng), DRAWN)}
    else:
        rows = rng.integers(len(every), size=DRAWN).tolist()
        found = {every[row].key: every[row] for row in rows}
    for parent in good:
        for place in range(NEIGHBOURS):
            child = parent
            for _ in range(1 + place % 3):
                child = space.mutate(child, rng)
            found[child.key] = child
    return list(found.values())


def best_untried(
    candidates: Sequence[Architecture],
    values: NDArray[np.floating],
    taken: Collection[str],
) -> Architecture | None:
    """The candidate of highest value whose key is not taken, None where all are."""
    ranked = (candidates[place] for place in np.argsort(-values, kind="stable").tolist())
    return next((each for each in ranked if each.key not in taken), None)


def fresh(
    draws: Iterator[Architecture], space: SearchSpace, taken: Collection[str]
) -> Architecture:
    """The first of endless draws that is not taken, as long as the space seems to have such.

    Where draws keep giving taken ones a listed one is taken in order.
    """
    for _ in range(TRIES):
        each = next(draws)
        if each.key not in taken:
            return each
    every = space.enumerate() or ()
    return next((other for other in every if other.key not in taken), each)


def random_draws(space: SearchSpace, rng: np.random.Generator) -> Iterator[Architecture]:
    """Endless."""
    while True:
        yield space.suggest(RandomChooser(rng))


def mutants(
    space: SearchSpace, parent: Architecture, rng: np.random.Generator
) -> Iterator[Architecture]:
    """Endless: each a neighbour of the one before, so the walk leaves what is known."""
    while True:
        parent = space.mutate(parent, rng)
        yield parent


def taken_keys(trials: Sequence[Trial], pending: Sequence[Architecture]) -> set[str]:
    """Keys of what was tried or is being tried."""
    tried = {architecture.key for architecture in Trials.of(trials).architectures}
    return tried | {each.key for each in pending}
