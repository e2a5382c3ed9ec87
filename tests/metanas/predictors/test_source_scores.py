import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_store.records import Architecture, TrialState
from metanas.predictors.source_scores import SourceScores, normal_scores
from metanas.spaces import TableSpace
from tests.contracts.predictor import trial

ONE, TWO = (Architecture("made up", {"a": i}) for i in (1, 2))
SPACE = TableSpace.of([trial("t", ONE, 0.1), trial("t", TWO, 0.1)])


def test_seeds_are_averaged_and_gaps_are_nan() -> None:
    trials = [trial("s", ONE, 0.25, 0), trial("s", ONE, 0.75, 1), trial("t", TWO, 0.5)]
    sources = SourceScores.of(trials, SPACE)
    assert sources.tasks == ("s", "t")
    assert sources.architectures == (ONE, TWO)
    np.testing.assert_array_equal(sources.scores, [[0.5, math.nan], [math.nan, 0.5]])


def test_stopped_trials_have_no_score() -> None:
    stopped = trial("s", ONE, 0.5)
    object.__setattr__(stopped, "state", TrialState.STOPPED)
    with pytest.raises(ValueError, match="with a score"):
        SourceScores.of([stopped], SPACE)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_normal_scores_keep_the_order_and_are_centred(values: list[float]) -> None:
    scores = normal_scores(np.array([*values, math.nan]))
    assert math.isnan(scores[-1])
    for a, x in zip(values, scores, strict=False):
        for b, y in zip(values, scores, strict=False):
            assert (a < b) == (x < y)
    if len(set(values)) == len(values):
        assert abs(scores[:-1].mean()) < 1e-6
