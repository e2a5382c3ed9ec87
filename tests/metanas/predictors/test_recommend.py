from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pytest
from numpy.typing import NDArray

from metadata_store.records import Architecture, Task, Trial
from metanas.predictors import recommend as module
from metanas.protocols import Prediction

TASK = Task.table("new")


class Numbered:
    """A space whose architectures are numbers."""

    def describe_all(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        return np.array([[float(each.choices["a"])] for each in architectures], np.float32)


def recommend(
    predictor: object, architectures: Sequence[Architecture], task: Task, k: int, *, seed: int = 0
) -> list[int]:
    return module.recommend(
        predictor,  # type: ignore[arg-type]
        architectures,
        task,
        k,
        space=Numbered(),  # type: ignore[arg-type]
        seed=seed,
    )


CANDIDATES = [Architecture("made up", {"a": i}) for i in range(6)]


class Fixed:
    """A predictor that expects given scores."""

    def __init__(self, mean: Sequence[float]) -> None:
        self._mean = np.array(mean, np.float64)

    def fit(self, trials: Sequence[Trial], tasks: Mapping[str, Task]) -> Self:
        return self

    def predict(self, architectures: Sequence[Architecture], task: Task) -> Prediction:
        return Prediction(self._mean, np.zeros(len(self._mean)))


class Scenarios(Fixed):
    """One that expects one of several sets of scores."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self._rows = np.array(rows, np.float32)
        super().__init__(self._rows.mean(axis=0).tolist())

    def scenarios(
        self, architectures: Sequence[Architecture], task: Task, *, n: int, seed: int
    ) -> NDArray[np.float32]:
        return self._rows[np.arange(n) % len(self._rows)]


def test_without_scenarios_the_mean_decides() -> None:
    assert recommend(Fixed([1, 5, 3, 0, 4, 2]), CANDIDATES, TASK, 3) == [1, 4, 2]


def test_where_scenarios_agree_the_mean_decides() -> None:
    row = [1.0, 5.0, 3.0, 0.0, 4.0, 2.0]
    assert recommend(Scenarios([row, row]), CANDIDATES, TASK, 1) == [1]


def test_where_scenarios_differ_a_little_each_gets_its_best() -> None:
    one = [9.0, 8.9, 7.0, 0.0, 0.0, 8.5]
    other = [7.0, 7.0, 9.0, 0.0, 0.0, 8.5]
    chosen = recommend(Scenarios([one, other]), CANDIDATES, TASK, 3)
    assert chosen[0] == 5
    assert set(chosen[1:]) == {0, 2}


def test_where_scenarios_disagree_they_are_spread_over_the_good() -> None:
    rng = np.random.default_rng(0)
    many = [Architecture("made up", {"a": i}) for i in range(1000)]
    predictor = Scenarios(rng.normal(size=(8, 1000)).tolist())
    mean = predictor.predict(many, TASK).mean
    chosen = recommend(predictor, many, TASK, 10)
    assert len(set(chosen)) == 10
    assert chosen[0] == int(mean.argmax())
    rank = np.argsort(np.argsort(-mean))
    assert rank[chosen].max() < 100
    # Structure is the number itself: neighbours of ten spread evenly are about 100 apart.
    assert np.diff(np.sort(chosen[1:])).min() > 30
    assert chosen == recommend(predictor, many, TASK, 10)


def test_twins_are_recommended_once() -> None:
    rng = np.random.default_rng(0)
    twins = [Architecture("made up", {"a": i % 3, "b": i}) for i in range(300)]
    chosen = recommend(Scenarios(rng.normal(size=(8, 300)).tolist()), twins, TASK, 10)
    assert len(set(chosen)) == 10


def test_all_are_returned_once_where_there_are_fewer() -> None:
    chosen = recommend(Scenarios([[1, 2, 3, 4, 5, 6]]), CANDIDATES, TASK, 10)
    assert sorted(chosen) == list(range(6))


def test_no_candidates_give_no_recommendation() -> None:
    assert recommend(Fixed([]), [], TASK, 3) == []


def test_at_least_one_is_asked_for() -> None:
    with pytest.raises(ValueError, match="at least one"):
        recommend(Fixed([1] * 6), CANDIDATES, TASK, 0)


def test_where_nothing_more_can_be_hedged_the_best_means_follow() -> None:
    predictor = Scenarios([[-9.0, 2.0, 1.0, 0.0, 3.0, -1.0], [-9.5, 2.1, 1.1, 0.1, 3.1, -0.9]])
    assert recommend(predictor, CANDIDATES, TASK, 5) == [4, 1, 2, 3, 5]


def test_of_those_that_add_as_much_the_better_mean_is_taken() -> None:
    rows = [[0.0, 0.9, 3.0, 1.0, 0.5, -2.0], [2.9, 3.0, 2.8, 3.0, 0.4, -2.0]]
    assert recommend(Scenarios(rows), CANDIDATES, TASK, 3)[:2] == [2, 3]
