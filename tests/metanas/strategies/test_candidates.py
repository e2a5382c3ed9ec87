from itertools import repeat

import numpy as np
import pytest

from metanas.spaces import NasBench201
from metanas.spaces.listed import Listed
from metanas.strategies import candidates
from metanas.strategies.candidates import best_untried, drawn, fresh, listed, mutants, taken_keys
from tests.contracts.predictor import trial
from tests.contracts.strategy import NEW, failed, some_cells


def test_a_large_space_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(listed(NasBench201()) or ()) == 15_625
    monkeypatch.setattr(candidates, "MOST_LISTED", 100)
    assert listed(NasBench201()) is None


def test_drawn_ones_are_different_and_of_the_list() -> None:
    cells = some_cells(300)
    space = Listed(NasBench201(), tuple(cells))
    found = drawn(space, cells[:2], np.random.default_rng(0), every=cells)
    assert len(set(found)) == len(found) > 150
    assert set(found) <= set(cells)


def test_the_best_that_is_not_taken_is_chosen() -> None:
    cells = some_cells(3)
    values = np.array([1.0, 3.0, 2.0])
    assert best_untried(cells, values, {cells[1].key}) == cells[2]
    assert best_untried(cells, values, {each.key for each in cells}) is None


def test_where_draws_are_all_taken_a_listed_one_comes() -> None:
    cells = some_cells(4)
    space = Listed(NasBench201(), tuple(cells))
    assert fresh(repeat(cells[0]), space, {cells[0].key, cells[1].key}) == cells[2]


def test_mutants_walk_on() -> None:
    (parent,) = some_cells(1)
    walk = mutants(NasBench201(), parent, np.random.default_rng(0))
    first, second = next(walk), next(walk)
    apart = [
        sum(a.choices[k] != b.choices[k] for k in a.choices)
        for a, b in ((parent, first), (first, second))
    ]
    assert apart == [1, 1]


def test_failed_trials_are_taken_too() -> None:
    a, b, c = some_cells(3)
    assert taken_keys([trial(NEW.name, a, 0.5), failed(b)], [c]) == {a.key, b.key, c.key}
