import numpy as np
import pytest

from metanas.rankers.curve_table import CurveTable
from metanas.rankers.peers import Peers, normal_scores
from metanas.rankers.runs import Prior, Runs
from metanas.rankers.searches import Searches

POSITIONS = 6


def table(seed: int, noise: float, unit: float = 1.0) -> CurveTable:
    """Curves whose early points tell the last one but for noise."""
    rng = np.random.default_rng(seed)
    final = rng.normal(0.0, 1.0, 400)
    spread = noise * np.linspace(1.0, 0.0, POSITIONS)
    curves = unit * (final[:, None] + spread * rng.normal(size=(400, POSITIONS)))
    return CurveTable(f"task{seed}", np.zeros((400, 1)), curves, curves[:, -1])


def search(lasts: list[float]) -> Searches:
    """One that has seen whole runs, flat at these values; one more run of 0.5 is row 0."""
    curves = np.repeat(np.array([0.5, *lasts])[:, None], POSITIONS, axis=1)
    count, factor = len(curves), np.eye(POSITIONS)
    surface, codes = np.zeros((count, POSITIONS, 1)), np.zeros((count, 1))
    runs = Runs.of(surface, curves, codes, curves[:, -1], factor)
    prior = Prior(np.zeros(1), np.eye(1), np.zeros((2, 1)), factor)
    found = Searches(runs, [prior], np.zeros(1, np.int64), count)
    for row in range(1, count):
        found.leave(np.zeros(1, np.int64), np.array([row]), np.array([POSITIONS]))
    return found


def chance(peers: Peers, lasts: list[float], length: int) -> float:
    none = np.zeros(1, np.int64)
    return float(peers.chance(search(lasts), none, none, np.array([length]))[0])


def test_agreement_is_the_correlation_of_ranks_and_grows_along_the_curve() -> None:
    peers = Peers([table(0, 1.0), table(1, 1.0, unit=1000.0)])
    assert peers.agreement[0] == pytest.approx(2.0**-0.5, abs=0.05)
    assert (np.diff(peers.agreement[:-1]) > 0).all()
    assert peers.agreement[-1] == pytest.approx(0.99)


def test_the_unit_of_a_task_does_not_matter() -> None:
    one, other = Peers([table(0, 1.0)]), Peers([table(0, 1.0, unit=1000.0)])
    assert one.agreement == pytest.approx(other.agreement)


def test_a_run_behind_most_has_less_chance_the_later_it_is() -> None:
    peers = Peers([table(0, 1.5)])
    behind, ahead = [0.6] * 9 + [0.1], [0.1] * 10
    early, late = chance(peers, behind, 1), chance(peers, behind, 5)
    assert late < early < chance(peers, ahead, 1) < chance(peers, ahead, 5)


def test_with_ranks_that_say_nothing_a_run_wins_as_often_as_any() -> None:
    peers = Peers([table(0, 1.0)])
    peers.agreement[:] = 0.0
    assert chance(peers, [0.6] * 10, 3) == pytest.approx(0.05)


def test_normal_scores_depend_on_ranks_alone() -> None:
    values = np.array([3.0, -1.0, 10.0, 4.0])
    assert normal_scores(values) == pytest.approx(normal_scores(values**3))
    assert normal_scores(values).sum() == pytest.approx(0.0, abs=1e-9)


def test_a_source_whose_runs_are_all_alike_says_nothing() -> None:
    flat = CurveTable("flat", np.zeros((9, 1)), np.ones((9, POSITIONS)), np.ones(9))
    assert Peers([flat]).agreement.tolist() == [0.0] * POSITIONS
