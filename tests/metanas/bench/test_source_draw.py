from dataclasses import replace

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import LearningCurve, Trial, TrialState
from metanas.bench.source_draw import LeftOut, scored
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import some_cells

CELLS = some_cells(50)


def _trials() -> Trials:
    rows = [trial("one", each, pretended(each)) for each in CELLS]
    rows += [trial("two", each, 0.5 * pretended(each)) for each in CELLS[:30]]
    rows += [trial("new", each, pretended(each)) for each in CELLS[:40]]
    return Trials.of(rows)


def test_the_same_architectures_are_drawn_on_each_task_as_far_as_it_has_them() -> None:
    drawn = LeftOut(_trials(), "new").draw(20, seed=1)
    found = {name: drawn.where(task=name).architectures for name in drawn.present("task")}
    assert set(found) == {"one", "two"}
    assert {name: len(each) for name, each in found.items()} == {"one": 20, "two": 20}
    shared = set(found["one"]) & set(CELLS[:30])
    assert shared <= set(found["two"])
    assert LeftOut(_trials(), "new").draw(20, seed=2).architectures != drawn.architectures


def test_only_what_the_target_was_measured_on_can_be_tried() -> None:
    left_out = LeftOut(_trials(), "new")
    assert set(left_out.space.enumerate() or ()) == set(CELLS[:40])
    assert left_out.score(CELLS[3]) == pytest.approx(pretended(CELLS[3]))


def test_the_sources_can_be_chosen() -> None:
    drawn = LeftOut(_trials(), "new", ["two"]).draw(10, seed=0)
    assert drawn.present("task") == ["two"]
    with pytest.raises(ValueError, match="another task than 'new'"):
        LeftOut(_trials(), "new", ["new"])


def test_the_order_of_rows_does_not_matter() -> None:
    trials = _trials()
    shuffled = trials.take(np.random.default_rng(0).permutation(len(trials)))
    one, other = (LeftOut(each, "new").draw(9, seed=0) for each in (trials, shuffled))
    assert set(one.architectures) == set(other.architectures)


def test_scored_architectures_are_counted_once_and_others_not() -> None:
    curve = LearningCurve("accuracy", (1,), (0.3,))
    stopped = Trial("mine", CELLS[0], curve, TrialState.STOPPED, 0, "made up")
    again = trial("two", CELLS[0], 0.4, seed=1)
    trials = Trials.of([*_trials(), stopped, again])
    assert scored(trials) == {"one": 50, "two": 30, "new": 40, "mine": 0}
    assert scored(Trials.of([stopped])) == {"mine": 0}
    with pytest.raises(ValueError, match="trials of 'mine' with a score, got 1 without"):
        LeftOut(trials, "mine")
    with pytest.raises(ValueError, match="scored trials of another task than 'new'"):
        LeftOut(trials, "new", ["mine"])


def test_a_target_is_judged_by_its_largest_source(caplog: pytest.LogCaptureFixture) -> None:
    longer = [replace(trial("new", each, 2.0), source="longer") for each in CELLS[35:45]]
    left_out = LeftOut(Trials.of([*longer, *_trials()]), "new")
    np.testing.assert_array_equal(left_out.scores, LeftOut(_trials(), "new").scores)
    assert left_out.architectures == LeftOut(_trials(), "new").architectures
    assert "10 of other sources are left out" in caplog.text
    assert scored(Trials.of([*longer, *_trials()]))["new"] == 45
