import numpy as np

from metanas.predictors.relevance import learn_relevance


def test_what_scores_depend_on_is_found() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 5))
    targets = np.stack([np.sin(inputs[:, 0]) + 0.1 * rng.normal(size=60), inputs[:, 0] ** 2])
    targets[1, ::3] = np.nan
    relevance = learn_relevance(inputs, targets, rng=rng)
    assert relevance[0] > 1.5 * relevance[1:].max()
    np.testing.assert_allclose((relevance**2).mean(), 1.0)


def test_without_anything_to_learn_all_count_the_same() -> None:
    rng = np.random.default_rng(0)
    targets = np.full((2, 4), np.nan)
    targets[0, 0] = 0.0
    np.testing.assert_array_equal(learn_relevance(np.ones((4, 3)), targets, rng=rng), np.ones(3))
