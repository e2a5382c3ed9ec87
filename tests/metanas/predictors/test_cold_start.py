import numpy as np

from metanas.predictors.cold_start import ColdStart
from metanas.predictors.own_trials import OwnTrials
from metanas.spaces import NasBench201
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import NEW, some_cells


def test_it_learns_from_own_trials_alone() -> None:
    cells = some_cells(90)
    model = ColdStart(NasBench201(), cells)
    own = OwnTrials.of([trial(NEW.name, each, pretended(each)) for each in cells[:50]])
    seen, new = model.place(own.measured), model.place(cells[50:])
    mean, variance = model.posterior(seen, own, NEW).predict(new.heads, new.apart(seen))
    truth = [pretended(each) for each in cells[50:]]
    assert np.corrcoef(mean, truth)[0, 1] > 0.6
    assert (variance > 0).all()


def test_before_a_trial_all_are_alike() -> None:
    model = ColdStart(NasBench201(), some_cells(10))
    mean, std = model.expected(model.place(some_cells(4, 1)), NEW)
    assert mean.tolist() == [0.0] * 4
    assert std.tolist() == [1.0] * 4


def test_a_run_that_diverged_does_not_set_the_scale() -> None:
    cells = some_cells(90)
    model = ColdStart(NasBench201(), cells)
    scores = [-1e6, *(pretended(each) for each in cells[1:50])]
    own = OwnTrials.of([trial(NEW.name, *each) for each in zip(cells[:50], scores, strict=True)])
    seen, new = model.place(own.measured), model.place(cells[50:])
    mean, variance = model.posterior(seen, own, NEW).predict(new.heads, new.apart(seen))
    assert np.corrcoef(mean, [pretended(each) for each in cells[50:]])[0, 1] > 0.6
    assert np.sqrt(variance).max() < 1.0
