from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.split import split, subset

COUNTS = st.lists(st.integers(2, 40), min_size=2, max_size=6)


def labels_of(counts: list[int], seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


@given(COUNTS, st.floats(0.05, 0.95), st.integers(0, 9))
def test_a_split_takes_each_example_once_and_each_class_twice(
    counts: list[int], share: float, seed: int
) -> None:
    labels = labels_of(counts, seed)
    first, second = split(labels, share, rng=np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(len(labels)))
    assert set(labels[first]) == set(labels[second]) == set(range(len(counts)))


@given(COUNTS, st.floats(0.05, 0.95))
def test_a_split_keeps_the_share_of_each_class(counts: list[int], share: float) -> None:
    labels = labels_of(counts)
    _, second = split(labels, share, rng=np.random.default_rng(0))
    for code, count in enumerate(counts):
        assert abs(int((labels[second] == code).sum()) - share * count) <= 1.0


@given(COUNTS, st.integers(1, 200), st.integers(0, 2))
def test_a_subset_has_the_size_asked_for_and_enough_of_each_class(
    counts: list[int], n: int, least: int
) -> None:
    labels = labels_of(counts)
    rows = subset(labels, n, least=least, rng=np.random.default_rng(1))
    assert len(set(rows.tolist())) == len(rows)
    assert len(rows) == max(min(n, len(labels)), min(least * len(counts), len(labels)))
    for code in range(len(counts)):
        assert (labels[rows] == code).sum() >= min(least, counts[code])


def test_a_subset_keeps_the_imbalance() -> None:
    labels = labels_of([900, 90, 10])
    rows = subset(labels, 100, least=1, rng=np.random.default_rng(0))
    assert np.bincount(labels[rows]).tolist() == [90, 9, 1]


def test_the_seed_decides() -> None:
    labels = labels_of([30, 30])
    drawn = [subset(labels, 20, least=1, rng=np.random.default_rng(s)).tolist() for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_class_with_one_example_cannot_be_split() -> None:
    with pytest.raises(ValueError, match=r"need two examples of each class to split.*class 1"):
        split(np.array([0, 0, 1]), 0.5, rng=np.random.default_rng(0))
