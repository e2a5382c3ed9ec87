import numpy as np
import pytest

from metanas.predictors.censored import above, without_outliers


def test_a_score_above_a_bound_is_expected_where_samples_lie() -> None:
    drawn = np.random.default_rng(0).normal(1.0, 2.0, 1_000_000)
    for bound in (-3.0, 1.0, 4.0):
        expected = above(np.array([bound]), np.array([1.0]), np.array([2.0]))[0]
        assert expected == pytest.approx(drawn[drawn > bound].mean(), abs=0.02)


def test_a_bound_far_above_what_is_predicted_is_the_score() -> None:
    expected = above(np.array([50.0]), np.array([0.0]), np.array([1.0]))[0]
    assert 50.0 <= expected < 50.1


def test_failures_far_below_are_drawn_near_and_the_top_is_kept() -> None:
    scores = np.array([0.1, 0.7, 0.71, 0.72, 0.73, 0.74])
    near = without_outliers(scores)
    np.testing.assert_array_equal(near[1:], scores[1:])
    assert 0.6 < near[0] < 0.7
    np.testing.assert_array_equal(without_outliers(scores[:3]), scores[:3])
    np.testing.assert_array_equal(without_outliers(np.ones(6)), np.ones(6))
