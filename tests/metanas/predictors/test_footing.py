import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from metanas.predictors.footing import FEWEST, Measured, normal_scores, on_one_footing

RNG = np.random.default_rng(0)
DESCRIBED = RNG.standard_normal((400, 6)).astype(np.float32)
TRUTH = DESCRIBED @ RNG.standard_normal(6) + 0.3 * RNG.standard_normal(400)
RANDOM = np.arange(200)
GOOD = 200 + np.sort(np.argsort(-TRUTH[200:])[:30])
"""What a search would measure: the best of what is left."""


def describe(columns: NDArray[np.int64]) -> NDArray[np.float32]:
    return DESCRIBED[columns]


def part(columns: NDArray[np.int64], scores: NDArray[np.float64]) -> Measured:
    return Measured(columns, scores, normal_scores(scores))


def merged(parts: list[Measured]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    columns = np.concatenate([each.columns for each in parts])
    return columns, np.concatenate([each.normal for each in parts])


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.2, 40.0), (3.0, -70.0)])
def test_a_search_is_placed_among_the_good_whatever_its_scale(slope: float, shift: float) -> None:
    searched = part(GOOD, slope * TRUTH[GOOD] + shift)
    columns, normal = merged(on_one_footing([part(RANDOM, TRUTH[RANDOM]), searched], describe))
    assert kendalltau(normal, TRUTH[columns]).statistic > 0.93
    own = np.concatenate([normal_scores(TRUTH[RANDOM]), searched.normal])
    assert kendalltau(own, TRUTH[columns]).statistic < 0.85  # ranks within each source


def test_the_order_within_a_source_stays() -> None:
    searched = part(GOOD, 50.0 + RNG.standard_normal(len(GOOD)))
    first, placed = on_one_footing([part(RANDOM, TRUTH[RANDOM]), searched], describe)
    np.testing.assert_array_equal(np.argsort(placed.normal), np.argsort(searched.scores))
    np.testing.assert_array_equal(first.normal, normal_scores(TRUTH[RANDOM]))
    assert placed.scores.max() <= TRUTH[RANDOM].max()  # on the scale of the largest
    assert placed.scores.mean() > np.quantile(TRUTH[RANDOM], 0.8)


def test_scores_that_compare_are_ranked_together() -> None:
    both = on_one_footing([part(RANDOM, TRUTH[RANDOM]), part(GOOD, TRUTH[GOOD])], describe)
    columns, normal = merged(both)
    np.testing.assert_array_equal(normal, normal_scores(TRUTH[columns]))
    np.testing.assert_array_equal(both[1].scores, TRUTH[GOOD])


def test_what_was_measured_before_is_where_it_was() -> None:
    best = np.sort(np.argsort(-TRUTH[RANDOM])[:5])
    again = [part(best[i : i + 1], np.array([9.0 + i])) for i in range(5)]
    first, *placed = on_one_footing([part(RANDOM, TRUTH[RANDOM]), *again], describe)
    for i, each in enumerate(placed):
        np.testing.assert_allclose(each.normal, first.normal[best[i]])
        np.testing.assert_allclose(each.scores, TRUTH[best[i]])


def test_where_nothing_can_be_foretold_ranks_are_those_within_the_source() -> None:
    few = part(np.arange(FEWEST - 1), np.arange(FEWEST - 1.0))
    fewer = part(np.arange(50, 54), np.array([70.0, 90.0, 80.0, 60.0]))
    _, placed = on_one_footing([few, fewer], describe)
    np.testing.assert_allclose(placed.normal, fewer.normal / fewer.normal.std())


def test_a_source_that_is_squeezed_is_placed_though_its_mean_fits() -> None:
    others = np.arange(200, 350)
    squeezed = part(others, TRUTH[RANDOM].mean() + 0.01 * TRUTH[others])
    columns, normal = merged(on_one_footing([part(RANDOM, TRUTH[RANDOM]), squeezed], describe))
    assert normal[200:].std() == pytest.approx(normal[:200].std(), rel=0.2)
    assert kendalltau(normal, TRUTH[columns]).statistic > 0.9


def test_a_source_that_ranks_nothing_is_no_footing_and_changes_nothing() -> None:
    known, equal = part(RANDOM[:30], TRUTH[:30]), part(RANDOM[20:80], np.full(60, 0.9))
    placed, flat = on_one_footing([known, equal], describe)
    np.testing.assert_array_equal(placed.normal, known.normal)
    np.testing.assert_array_equal(flat.normal[:10], known.normal[20:])
    assert np.isfinite(flat.scores).all()


def test_the_order_of_the_sources_makes_no_difference() -> None:
    searched = part(GOOD, 0.2 * TRUTH[GOOD] + 40.0)
    there = on_one_footing([part(RANDOM, TRUTH[RANDOM]), searched], describe)
    back = on_one_footing([searched, part(RANDOM, TRUTH[RANDOM])], describe)
    for one, other in zip(there, reversed(back), strict=True):
        np.testing.assert_array_equal(one.normal, other.normal)
    alone = part(GOOD, TRUTH[GOOD])
    assert on_one_footing([alone], describe) == [alone]
