import numpy as np
import optuna
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas.search.priors import best_sources, enqueue
from tests.contracts.searches import SPACE, source_trials_of, study_in, value_of

EVEN = {"one": 0.5, "two": 0.5}


def test_priors_are_good_on_the_other_tasks() -> None:
    sources = Trials.of(source_trials_of(["one", "two"], count=100))
    found = best_sources(sources, SPACE, EVEN, 5)
    values = [value_of(each) for each in sources.architectures]
    assert len(set(found)) == 5
    assert value_of(found[0]) > np.quantile(values, 0.95)
    assert min(map(value_of, found)) > np.quantile(values, 0.6)


def test_priors_are_not_twins() -> None:
    best = {"kind": "b", "size": 8}
    twins = [Architecture("mini", {**best, "rate": 0.1 + i / 1000}) for i in range(10)]
    other = Architecture("mini", {"kind": "a", "size": 6, "rate": 0.1})
    rest = [Architecture("mini", {"kind": "c", "size": 1, "rate": 0.9 + i / 100}) for i in range(9)]
    trials = [
        Trial(
            "one",
            each,
            LearningCurve("m", (1,), (value,)),
            TrialState.COMPLETED,
            0,
            "tests",
        )
        for each, value in [
            *((each, 0.9 - i / 1000) for i, each in enumerate(twins)),
            (other, 0.7),
            *((each, 0.1) for each in rest),
        ]
    ]
    first, second = best_sources(Trials.of(trials), SPACE, {"one": 1.0}, 2)
    assert first == twins[0]
    assert second == other


def test_tasks_count_by_their_weight() -> None:
    good, bad = (Architecture("mini", {"kind": k, "size": 1, "rate": 0.1}) for k in "ab")
    trials = [
        Trial(task, each, LearningCurve("m", (1,), (v,)), TrialState.COMPLETED, 0, "tests")
        for task, values in (("one", (0.9, 0.1)), ("two", (0.1, 0.9)))
        for each, v in zip((good, bad), values, strict=True)
    ]
    sources = Trials.of(trials)
    assert best_sources(sources, SPACE, {"one": 0.9, "two": 0.1}, 1) == [good]
    assert best_sources(sources, SPACE, {"one": 0.1, "two": 0.9}, 1) == [bad]


@pytest.mark.parametrize("count", [0, 3])
def test_without_scores_there_are_no_priors(count: int) -> None:
    assert best_sources(Trials.of([]), SPACE, {}, count) == []


def test_as_many_as_there_are(caplog: pytest.LogCaptureFixture) -> None:
    sources = Trials.of(source_trials_of(["one"], count=4))
    assert set(best_sources(sources, SPACE, {"one": 1.0}, 9)) == set(sources.architectures)


def test_priors_are_tried_first_and_queued_once() -> None:
    study = study_in(optuna.storages.InMemoryStorage())
    priors = Trials.of(source_trials_of(["one"], count=3)).architectures
    enqueue(study, SPACE, priors)
    enqueue(study, SPACE, priors)
    study.optimize(lambda trial: value_of(SPACE.suggest(trial)), n_trials=5)
    tried = [Architecture("mini", each.params) for each in study.trials]
    assert tried[:3] == priors
    assert len(set(tried)) == 5
