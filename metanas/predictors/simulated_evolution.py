"""Evolution whose fitness is predicted: for spaces too large to score in full.

[Evolution] Real et al. Large-Scale Evolution of Image Classifiers. ICML 2017: of two
individuals drawn at random the worse is killed and a mutated copy of the better takes
its place. TAPAS runs it on predicted scores, so that nothing is trained.

Differs from the papers: up to `ROUND` pairs are drawn at once without overlap and their
children join together, so that the predictor scores batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Architecture
from metanas.protocols import SearchSpace

ROUND = 100
"""At most so many children are made and scored together."""


def simulated_evolution(
    space: SearchSpace,
    fitness: Callable[[Sequence[Architecture]], NDArray[np.float64]],
    start: Sequence[Architecture],
    *,
    rng: np.random.Generator,
    mutations: int = 5000,
) -> list[Architecture]:
    """All architectures met, each once, fittest first.

    Args:
        fitness: higher is better, one number an architecture; minus infinity for one
            that must not survive.
        start: the first individuals, at least 2; so many are alive at any time.
        mutations: children made in all.

    Raises:
        ValueError: fewer than 2 individuals, a negative number of mutations, or a fitness
            that is not one number, and no NaN, for each architecture.
    """
    alive = list(start)
    if len(alive) < 2 or mutations < 0:
        raise ValueError(
            f"need a population of at least 2 and no negative number of mutations, "
            f"got {len(alive)} and {mutations}"
        )
    fit = _scored(fitness, alive)
    met = {a.key: (a, float(value)) for a, value in zip(alive, fit, strict=True)}
    made = 0
    while made < mutations:
        n = min(len(alive) // 2, ROUND, mutations - made)
        pairs = rng.permutation(len(alive))[: 2 * n].reshape(n, 2)
        better_first = fit[pairs[:, 0]] >= fit[pairs[:, 1]]
        better = np.where(better_first, pairs[:, 0], pairs[:, 1])
        worse = np.where(better_first, pairs[:, 1], pairs[:, 0])
        children = [space.mutate(alive[i], rng) for i in better]
        fit[worse] = _scored(fitness, children)
        for i, child in zip(worse, children, strict=True):
            alive[i] = child
            met.setdefault(child.key, (child, float(fit[i])))
        made += n
    ranked = sorted(met.values(), key=lambda pair: -pair[1])
    return [architecture for architecture, _ in ranked]


def _scored(
    fitness: Callable[[Sequence[Architecture]], NDArray[np.float64]],
    architectures: Sequence[Architecture],
) -> NDArray[np.float64]:
    values = np.array(fitness(architectures), np.float64)
    if values.shape != (len(architectures),) or np.isnan(values).any():
        raise ValueError(
            f"need one number as fitness of each of {len(architectures)} architectures, got "
            f"shape {values.shape} with {int(np.isnan(values).sum())} NaN"
        )
    return values
