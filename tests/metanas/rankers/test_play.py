from typing import cast

import numpy as np
import pytest

from metanas.rankers.play import Below, Sparing, prospect
from metanas.rankers.searches import Searches

PASSED = np.linspace(0.1, 1.0, 10)


# Of searches policies ask nothing: the chance is given.
SEARCHES = cast(Searches, None)


def ints(*values: int) -> np.ndarray:
    return np.asarray(values, np.int64)


def test_the_same_chance_is_worth_more_the_less_is_left() -> None:
    found = prospect(np.array([0.1, 0.1]), ints(5, 9), PASSED)
    assert found == pytest.approx([0.2, 1.0])


def test_a_run_is_stopped_while_it_is_dear_and_spared_when_nearly_over() -> None:
    below = Below(lambda *_: np.array([0.04, 0.04]), np.array([0.05]), PASSED)
    assert below(SEARCHES, ints(0, 0), ints(3, 4), ints(1, 8)).tolist() == [True, False]


def sparing(chances: dict[int, float], best: list[int], delta: float = 0.05) -> Sparing:
    """Of one search of five runs."""
    row = np.zeros((1, 5), np.bool_)
    row[0, best] = True
    return Sparing(lambda _, search, run, length: np.array([chances[run[0]]]), delta, row, PASSED)


def test_best_runs_are_not_stopped_and_their_poorest_prospect_is_kept() -> None:
    chances = {0: 0.01, 2: 0.01}
    policy = sparing(chances, [2])
    assert policy(SEARCHES, ints(0), ints(0), ints(2)).tolist() == [True]
    assert policy(SEARCHES, ints(0), ints(2), ints(5)).tolist() == [False]
    chances[2] = 0.4
    policy(SEARCHES, ints(0), ints(2), ints(6))
    assert policy.poorest.tolist() == pytest.approx([0.02])


def test_of_runs_as_good_as_each_other_it_is_enough_to_keep_one() -> None:
    policy = sparing({1: 0.001, 2: 0.2}, [1, 2])
    for run in (1, 2):
        policy(SEARCHES, ints(0), ints(run), ints(5))
    assert policy.poorest.tolist() == pytest.approx([0.4])


def test_a_search_whose_best_run_is_never_judged_cannot_lose_it() -> None:
    policy = sparing({1: 0.001}, [1, 4])
    policy(SEARCHES, ints(0), ints(1), ints(5))
    assert np.isinf(policy.poorest).all()
