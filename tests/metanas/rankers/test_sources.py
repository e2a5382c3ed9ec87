"""Curves to learn from."""

from __future__ import annotations

import math

import numpy as np

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas.rankers.sources import Sources, without_copies
from tests.contracts.searches import METRIC, SPACE, source_trials_of

COMPLETED, FAILED = TrialState.COMPLETED, TrialState.FAILED


def run(
    values: tuple[float, ...],
    source: str,
    *,
    size: int = 1,
    seed: int = 0,
    task: str = "one",
    state: TrialState = COMPLETED,
) -> Trial:
    architecture = Architecture(SPACE.name, {"kind": "a", "rate": 0.5, "size": size})
    curve = LearningCurve(METRIC, tuple(range(1, len(values) + 1)), values)
    return Trial(task, architecture, curve, state, seed, source)


def test_a_copied_curve_of_the_same_task_and_architecture_is_left_out() -> None:
    rows = [
        (run((0.5, math.nan), "search:s", state=FAILED), False),
        (run((0.5, math.nan), "table"), True),
        (run((0.5, 0.75), "table"), True),
        (run((0.5, 0.75), "search:s", seed=7), False),
        (run((0.5, 0.75), "search:s", size=2), True),
        (run((0.5, 0.75), "search:s", task="two"), True),
        (run((0.5, 0.625), "table", seed=1), True),
        # It learns nothing, whatever the seed.
        (run((0.25, 0.25), "table"), True),
        (run((0.25, 0.25), "table", seed=1), True),
    ]
    kept = without_copies(Trials.of(each for each, _ in rows))
    assert list(kept) == [each for each, own in rows if own]
    assert len(without_copies(Trials.of([]))) == 0


def test_copies_teach_nothing() -> None:
    trials = source_trials_of(["one", "two"])
    copies = [
        Trial(t.task, t.architecture, t.curve, t.state, t.seed + 100, "search:s") for t in trials
    ]
    bare = Sources.of(Trials.of(trials), SPACE, "score")
    more = Sources.of(Trials.of([*trials, *copies]), SPACE, "score")
    assert bare is not None
    assert more is not None
    assert np.array_equal(bare.noise, more.noise)
    for one, other in zip(bare.tables, more.tables, strict=True):
        assert np.array_equal(one.curves, other.curves)
