from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from metadata_store.records import Architecture
from metanas.predictors.simulated_evolution import simulated_evolution
from metanas.spaces import NasBench201
from tests.contracts.predictor import pretended


def fitness(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    return np.array([pretended(architecture) for architecture in architectures])


def test_finds_the_fittest_of_a_smooth_space() -> None:
    space = NasBench201()
    rng = np.random.default_rng(0)
    met = simulated_evolution(space, fitness, rng=rng, population=50, mutations=2000)
    assert pretended(met[0]) == pytest.approx(max(pretended(a) for a in space.enumerate()))
    assert len(set(met)) == len(met) <= 2050
    scores = fitness(met)
    assert (np.diff(scores) <= 0).all()


def test_is_the_same_for_a_seed() -> None:
    runs = [
        simulated_evolution(
            NasBench201(), fitness, rng=np.random.default_rng(1), population=9, mutations=40
        )
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_without_mutations_the_first_population_is_ranked() -> None:
    rng = np.random.default_rng(2)
    met = simulated_evolution(NasBench201(), fitness, rng=rng, population=5, mutations=0)
    assert 1 <= len(met) <= 5


def test_a_population_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        simulated_evolution(NasBench201(), fitness, rng=np.random.default_rng(0), population=1)
