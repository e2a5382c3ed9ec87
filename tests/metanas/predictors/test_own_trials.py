import numpy as np

from metanas.predictors.own_trials import OwnTrials
from tests.contracts.predictor import trial
from tests.contracts.strategy import NEW, failed, some_cells, stopped


def test_completed_trials_are_scores_stopped_ones_bounds_and_failed_ones_only_tried() -> None:
    a, b, c = some_cells(3)
    own = OwnTrials.of(
        [trial(NEW.name, a, 0.5), stopped(b, 0.2), failed(c), stopped(b, 0.3), stopped(a, 0.9)]
    )
    assert own.tried == (a, b, c)
    assert own.measured == (a, b)
    np.testing.assert_allclose(own.scores, [0.5, 0.3], rtol=1e-6)
    assert own.bound.tolist() == [False, True]


def test_several_seeds_are_averaged() -> None:
    (a,) = some_cells(1)
    own = OwnTrials.of([trial(NEW.name, a, 0.5), trial(NEW.name, a, 0.7, seed=1)])
    np.testing.assert_allclose(own.scores, [0.6], rtol=1e-6)


def test_no_trials_are_no_trials() -> None:
    assert OwnTrials.of([]).tried == ()
    assert len(OwnTrials.of([]).scores) == 0
