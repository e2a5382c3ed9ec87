import numpy as np
from scipy.spatial.distance import cdist

from metanas.predictors.placed import FAR, Placed, Standard, typical_distance


def test_distances_are_those_between_points() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(7, 3)).astype(np.float32)
    heads = np.zeros((7, 2), np.float32)
    placed = Placed(heads, (points, 2 * points), heads)
    some = placed.take([1, 4])
    one, other = placed.apart(some)
    np.testing.assert_allclose(one, cdist(points, points[[1, 4]]) ** 2, atol=1e-5)
    np.testing.assert_allclose(other, 4 * one, atol=1e-4)


def test_descriptors_that_never_vary_are_left_out_and_far_ones_cut() -> None:
    described = np.array([[0, 1, 5], [2, 1, 7]], np.float32)
    standard = Standard(described)
    np.testing.assert_allclose(standard(described), [[-1, -1], [1, 1]])
    assert standard(np.array([[1000, 3, 6]], np.float32)).tolist() == [[FAR, 0.0]]


def test_the_typical_distance_is_that_of_different_points() -> None:
    assert typical_distance(np.array([[0.0], [0.0], [3.0]], np.float32)) == 3.0
    assert typical_distance(np.zeros((1, 2), np.float32)) == 1.0
