import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanas.rankers.curve_table import CurveTable
from metanas.rankers.ensemble import SUREST, Ensemble, pooled
from metanas.rankers.peers import Peers
from metanas.rankers.runs import Prior, Runs
from metanas.rankers.searches import Searches

chances = st.floats(0.0, 1.0)


@given(one=chances, other=chances, say=chances)
def test_a_pool_lies_between_and_treats_both_outcomes_alike(
    one: float, other: float, say: float
) -> None:
    found = pool(one, other, say)
    assert min(one, other) - 2 * SUREST <= found <= max(one, other) + 2 * SUREST
    opposite = pool(1.0 - one, 1.0 - other, say)
    assert found == pytest.approx(1.0 - opposite, abs=1e-9)


def pool(one: float, other: float, say: float, more: float = 0.0) -> float:
    return float(pooled(np.array([one]), np.array([other]), np.array([say]), np.array([more]))[0])


def test_odds_are_multiplied_by_their_say() -> None:
    # Odds of 1 to 9 and of 9 to 1: the geometric mean is even.
    assert pool(0.1, 0.9, 0.5) == pytest.approx(0.5)
    assert pool(0.1, 0.9, 0.0) == pytest.approx(0.1)
    assert pool(0.1, 0.9, 1.0) == pytest.approx(0.9)


def test_one_that_is_sure_is_heard() -> None:
    assert pool(1e-5, 0.3, 0.2) < 0.1 * (0.8 * 1e-5 + 0.2 * 0.3)


POSITIONS = 4
NONE = np.zeros(1, np.int64)


def search(top: float) -> Searches:
    """Runs that stay where they begin: one of 0.5 is row 0, ten finished ones up to 0.8."""
    ends = np.array([0.5, *np.linspace(0.1, 0.8, 10)])
    curves = np.repeat(ends[:, None], POSITIONS, axis=1)
    surface, codes = np.zeros((len(ends), POSITIONS, 1)), np.zeros((len(ends), 1))
    factor = np.eye(POSITIONS)
    # Forecasts of no gain at all, and sure of it.
    runs = Runs.of(surface, curves, codes, ends, factor, forecasts=2)
    prior = Prior(np.zeros(1), np.eye(1), np.zeros((2, 1)), factor, top)
    found = Searches(runs, [prior], NONE, len(ends))
    for row in range(1, len(ends)):
        found.leave(NONE, np.array([row]), np.array([POSITIONS]))
    return found


@pytest.fixture(scope="module")
def peers() -> Peers:
    rng = np.random.default_rng(0)
    curves = rng.normal(size=(200, 1)) + rng.normal(size=(200, POSITIONS))
    return Peers([CurveTable("one", np.zeros((200, 1)), curves, curves[:, -1])])


def chance(ensemble: Ensemble, searches: Searches, run: int = 0) -> float:
    return float(ensemble.chance(searches, NONE, np.array([run]), np.array([2]))[0])


def test_ranks_keep_trees_from_ruling_a_run_out(peers: Peers) -> None:
    sure, searches = Ensemble((), say=0.0), search(top=1.0)
    ranked = float(peers.chance(searches, NONE, NONE, np.array([2]))[0])
    both = Ensemble((), say=0.0, peers=peers, peers_say=0.5)
    assert chance(sure, searches) == pytest.approx(0.0, abs=1e-9)
    assert chance(both, searches) == pytest.approx(pool(0.0, ranked, 0.5))
    assert chance(both, search(top=np.inf)) == chance(both, searches)


def test_of_a_search_beyond_all_sources_ranks_alone_tell(peers: Peers) -> None:
    ensemble = Ensemble((), say=0.0, peers=peers, reach=0.2, footing=1.0)
    found = [chance(ensemble, search(top)) for top in (1.0, 0.8, 0.7, 0.6, 0.3)]
    ranked = float(peers.chance(search(1.0), NONE, NONE, np.array([2]))[0])
    assert found[0] == found[1] < found[2] < found[3] == found[4]
    assert found[4] == pytest.approx(pool(0.0, ranked, 1.0, more=1.0))


def test_where_runs_keep_what_they_reach_one_ahead_has_won(peers: Peers) -> None:
    searches = search(top=1.0)
    searches.best[0] = 0.45
    assert chance(Ensemble((), say=0.0, peers=peers, keeps=True), searches) == 1.0
    assert chance(Ensemble((), say=0.0, peers=peers, keeps=False), searches) < 1.0
    searches.best[0] = 0.5
    assert chance(Ensemble((), say=0.0, peers=peers, keeps=True), searches) < 1.0
