"""Evolution whose fitness is predicted: for spaces too large to score in full.

[Evolution] Real et al. Large-Scale Evolution of Image Classifiers. ICML 2017: of two
individuals drawn at random the worse is killed and a mutated copy of the better takes
its place. TAPAS runs it on predicted scores, so that nothing is trained.

Differs from the papers: pairs of one generation are drawn at once without overlap, so
that the predictor scores batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from metadata_store.records import Architecture
from metanas.protocols import SearchSpace
from metanas.spaces.random_chooser import RandomChooser


def simulated_evolution(
    space: SearchSpace,
    fitness: Callable[[Sequence[Architecture]], NDArray[np.float64]],
    *,
    rng: np.random.Generator,
    population: int = 1000,
    mutations: int = 20_000,
) -> list[Architecture]:
    """All architectures met, each once, fittest first.

    Args:
        fitness: higher is better, one number an architecture.
        population: individuals alive at any time, at least 2.
        mutations: children made in all.

    Raises:
        ValueError: fewer than 2 individuals, or a negative number of mutations.
    """
    if population < 2 or mutations < 0:
        raise ValueError(
            f"need a population of at least 2 and no negative number of mutations, "
            f"got {population} and {mutations}"
        )
    chooser = RandomChooser(rng)
    alive = [space.suggest(chooser) for _ in range(population)]
    fit = np.asarray(fitness(alive), np.float64)
    met = {a.key: (a, float(value)) for a, value in zip(alive, fit, strict=True)}
    made = 0
    while made < mutations:
        pairs = rng.permutation(population)[: population // 2 * 2].reshape(-1, 2)
        pairs = pairs[: mutations - made]
        better_first = fit[pairs[:, 0]] >= fit[pairs[:, 1]]
        better = np.where(better_first, pairs[:, 0], pairs[:, 1])
        worse = np.where(better_first, pairs[:, 1], pairs[:, 0])
        children = [space.mutate(alive[i], rng) for i in better]
        fit[worse] = fitness(children)
        for i, child in zip(worse, children, strict=True):
            alive[i] = child
            met.setdefault(child.key, (child, float(fit[i])))
        made += len(children)
    ranked = sorted(met.values(), key=lambda pair: -pair[1])
    return [architecture for architecture, _ in ranked]
