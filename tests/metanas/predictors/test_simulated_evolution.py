import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from metadata_store.records import Architecture, Task
from metanas.predictors.simulated_evolution import ROUND, simulated_evolution
from metanas.predictors.tapas import Tapas
from metanas.spaces import NasBench201, TableSpace
from metanas.spaces.random_chooser import RandomChooser
from tests.contracts.predictor import pretended, trial

SPACE = NasBench201()


def fitness(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    return np.array([pretended(architecture) for architecture in architectures])


def drawn(n: int, seed: int = 0) -> list[Architecture]:
    chooser = RandomChooser(np.random.default_rng(seed))
    return [SPACE.suggest(chooser) for _ in range(n)]


def test_finds_the_fittest_of_a_smooth_space() -> None:
    rng = np.random.default_rng(0)
    start = drawn(50)
    met = simulated_evolution(SPACE, fitness, start, rng=rng, mutations=2000)
    assert pretended(met[0]) == pytest.approx(max(pretended(a) for a in SPACE.enumerate()))
    assert set(start) <= set(met)
    assert len(set(met)) == len(met) <= 2050
    assert (np.diff(fitness(met)) <= 0).all()


def test_is_the_same_for_a_seed() -> None:
    runs = [
        simulated_evolution(SPACE, fitness, drawn(9), rng=np.random.default_rng(1), mutations=40)
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_children_are_scored_in_rounds_and_as_many_as_asked() -> None:
    asked: list[int] = []

    def counting(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        asked.append(len(architectures))
        return fitness(architectures)

    rng = np.random.default_rng(0)
    simulated_evolution(SPACE, counting, drawn(300), rng=rng, mutations=250)
    assert asked == [300, ROUND, ROUND, 50]


def test_what_must_not_survive_comes_last_and_has_no_part_in_the_best() -> None:
    def without_3x3(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        banned = ["nor_conv_3x3" in a.choices.values() for a in architectures]
        return np.where(banned, -np.inf, fitness(architectures))

    rng = np.random.default_rng(0)
    met = simulated_evolution(SPACE, without_3x3, drawn(50), rng=rng, mutations=2000)
    assert set(met[0].choices.values()) == {"nor_conv_1x1"}
    assert "nor_conv_3x3" in met[-1].choices.values()


def test_without_mutations_the_start_is_ranked() -> None:
    start = drawn(5)
    met = simulated_evolution(SPACE, fitness, start, rng=np.random.default_rng(2), mutations=0)
    assert set(met) == set(start)
    assert (np.diff(fitness(met)) <= 0).all()


@pytest.mark.parametrize(("population", "mutations"), [(1, 10), (0, 10), (5, -1)])
def test_too_few_of_anything_are_refused(population: int, mutations: int) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least 2"):
        simulated_evolution(SPACE, fitness, drawn(population), rng=rng, mutations=mutations)


@pytest.mark.parametrize("wrong", [np.full(5, np.nan), np.zeros(1), np.zeros((5, 1))])
def test_a_fitness_that_is_not_one_number_each_is_refused(wrong: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="one number"):
        simulated_evolution(SPACE, lambda _: wrong, drawn(5), rng=np.random.default_rng(0))


def test_a_thousand_individuals_and_five_thousand_mutations_take_seconds() -> None:
    rng = np.random.default_rng(0)
    choices = [{f"x{i}": float(v) for i, v in enumerate(row)} for row in rng.random((60, 8))]
    trials = [trial("t", Architecture("numbers", c), 0.5 + 0.1 * c["x0"]) for c in choices]
    space = TableSpace.of(trials)
    assert space.enumerate() is None
    predictor = Tapas(space=space).fit(trials, {})
    chooser = RandomChooser(rng)
    start = [space.suggest(chooser) for _ in range(1000)]
    task = Task.table("new")

    def predicted(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        return predictor.predict(architectures, task).mean

    started = time.perf_counter()
    met = simulated_evolution(space, predicted, start, rng=rng)
    assert time.perf_counter() - started < 5.0
    assert predicted(met[:1])[0] > predicted(start).max()
