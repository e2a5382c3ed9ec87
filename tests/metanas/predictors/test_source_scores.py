import math
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas.predictors.footing import normal_scores
from metanas.predictors.source_scores import SourceScores
from metanas.spaces import NasBench201, TableSpace
from tests.contracts.predictor import trial

ONE, TWO = (Architecture("made up", {"a": i}) for i in (1, 2))
MANY = [Architecture("made up", {"a": i}) for i in range(40)]
SPACE = TableSpace.of([trial("t", ONE, 0.1), trial("t", TWO, 0.1)])


def measured(
    task: str,
    architecture: Architecture,
    score: float,
    *,
    seed: int = 0,
    source: str = "made up",
    metric: str = "accuracy",
) -> Trial:
    curve = LearningCurve(metric, (1,), (score,))
    return replace(trial(task, architecture, score, seed), source=source, curve=curve)


def by_architecture(
    sources: SourceScores, values: NDArray[np.float64]
) -> dict[Architecture, float]:
    return dict(zip(sources.architectures, values.tolist(), strict=True))


def test_seeds_are_averaged_and_gaps_are_nan() -> None:
    trials = [trial("s", ONE, 0.25, 0), trial("s", ONE, 0.75, 1), trial("t", TWO, 0.5)]
    sources = SourceScores.of(trials, SPACE)
    assert sources.tasks == ("s", "t")
    assert set(sources.architectures) == {ONE, TWO}
    one = sources.architectures.index(ONE)
    wanted = np.full((2, 2), math.nan)
    wanted[0, one] = wanted[1, 1 - one] = 0.5
    np.testing.assert_array_equal(sources.scores, wanted)


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


def test_of_several_metrics_the_most_measured_counts() -> None:
    trials = [measured("t", a, -5.0 + i, metric="negative_loss") for i, a in enumerate(MANY[:5])]
    trials += [measured("t", a, 0.5 - 0.01 * i) for i, a in enumerate(MANY[:7])]
    trials += [measured("u", a, -1.0 * i, metric="negative_loss") for i, a in enumerate(MANY[:3])]
    trials += [measured("t", MANY[9], -1.0, metric="negative_loss")]
    sources = SourceScores.of(trials, SPACE)
    alone = SourceScores.of([t for t in trials if t.task == "u" or t.curve.metric[0] == "a"], SPACE)
    assert sources.tasks == ("t", "u")
    assert sources.architectures == alone.architectures
    assert MANY[9] not in sources.architectures
    assert len(sources.trials) == len(sources.columns) == 10
    np.testing.assert_array_equal(sources.scores, alone.scores)
    np.testing.assert_array_equal(sources.normal, alone.normal)


def test_of_equally_frequent_metrics_the_first_seen_counts() -> None:
    loss = [measured("t", a, -1.0, metric="negative_loss") for a in (ONE, TWO)]
    accuracy = [measured("t", a, 0.5) for a in (ONE, TWO)]
    for first, second in ((loss, accuracy), (accuracy, loss)):
        scores = SourceScores.of([*first, *second], SPACE).scores
        np.testing.assert_array_equal(scores, first[0].score)


def test_sources_of_a_task_are_brought_to_one_footing() -> None:
    short = [measured("t", a, 0.5 + 0.01 * i, source="short") for i, a in enumerate(MANY[:30])]
    long = [measured("t", a, 0.9 + 0.001 * i, source="long") for i, a in enumerate(MANY[28:36])]
    sources = SourceScores.of([*short, *long], TableSpace.of([*short, *long]))
    normal = by_architecture(sources, sources.normal[0])
    of_short = normal_scores(np.arange(30.0))
    for i, a in enumerate(MANY[:28]):
        assert normal[a] == pytest.approx(of_short[i])
    assert all(normal[a] > 1.0 for a in MANY[30:36])
    scores = by_architecture(sources, sources.scores[0])
    assert scores[MANY[0]] == 0.5
    assert all(0.7 < scores[a] < 0.8 for a in MANY[28:36])


def test_tasks_whose_scores_are_all_equal_are_left_out() -> None:
    easy = [measured("easy", a, 1.0) for a in MANY[:9]]
    told = [measured("t", a, 0.1 * i) for i, a in enumerate(MANY[:3])]
    sources = SourceScores.of([*easy, *told], SPACE)
    assert sources.tasks == ("t",)
    assert len(sources.trials) == len(sources.architectures) == 3
    assert SourceScores.of(easy, SPACE).tasks == ("easy",)


def test_a_source_counts_once_however_many_seeds_it_has() -> None:
    trials = [measured("t", ONE, 0.9, seed=seed, source="a") for seed in range(5)]
    trials += [measured("t", TWO, 0.1, source="a")]
    trials += [measured("t", ONE, 0.1, source="b"), measured("t", TWO, 0.9, source="b")]
    np.testing.assert_allclose(SourceScores.of(trials, SPACE).normal, 0.0, atol=1e-12)


def test_with_one_source_normal_scores_are_those_of_the_scores() -> None:
    rng = np.random.default_rng(0)
    trials = [
        measured(task, a, float(rng.random()), seed=seed, source=f"source of {task}")
        for task in "tu"
        for a in MANY
        for seed in range(3)
        if rng.random() < 0.6
    ]
    sources = SourceScores.of(trials, SPACE)
    assert np.isnan(sources.scores).any()
    wanted = np.array([normal_scores(row) for row in sources.scores])
    np.testing.assert_array_equal(sources.normal, wanted)


def test_the_order_of_the_trials_makes_no_difference() -> None:
    rng = np.random.default_rng(0)
    trials = [
        measured(task, a, float(rng.random()), seed=seed, source=source)
        for task in ("u", "t", "v")
        for a in MANY
        for source in ("b", "a")
        for seed in range(3)
    ]
    one = SourceScores.of(trials, SPACE)
    other = SourceScores.of([trials[i] for i in rng.permutation(len(trials))], SPACE)
    assert one.tasks == other.tasks == ("t", "u", "v")
    assert one.architectures == other.architectures
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.normal, other.normal)
    for sources in (one, other):
        placed = [sources.architectures[column] for column in sources.columns]
        assert placed == [t.architecture for t in sources.trials]


def test_a_hundred_thousand_trials_take_a_second_or_two() -> None:
    space = NasBench201()
    listed = space.enumerate()
    table = Trials.of([trial("t", a, i / len(listed)) for i, a in enumerate(listed)]).table
    field = table.schema.get_field_index("task")
    batch = Trials.concat(
        Trials(table.set_column(field, "task", pa.array([task] * len(listed)))) for task in "abcdef"
    )
    started = time.perf_counter()
    sources = SourceScores.of(batch, space)
    assert time.perf_counter() - started < 4.0
    assert sources.normal.shape == (6, len(listed))
