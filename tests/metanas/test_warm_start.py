"""What a study keeps of its runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import optuna
import pytest

from metadata_store.batch import Trials
from metadata_store.memory import MemoryStore
from metanas.search.study import ARCHITECTURE, RESULT, SEED
from metanas.search.worker import work
from metanas.search_report import search_report
from metanas.warm_start import START, begin, result
from tasks.similarity import Neighbour
from tests.contracts.searches import SPACE, share, source_trials_of, study_in

ONE = Neighbour("one", 0.5, 1.0)
FIRST = {"sampler": "random", "pruner": "none", "budget": "3", "seed": "0"}
OTHERS = {"sampler": "tpe", "pruner": "median", "budget": "9", "seed": "5"}


@pytest.fixture
def study() -> optuna.Study:
    return study_in(optuna.storages.InMemoryStorage())


def run(
    study: optuna.Study,
    settings: dict[str, str],
    *,
    trials: int,
    learners: Sequence[str] = (),
    priors: int = 0,
    whole: bool = True,
) -> None:
    """A run until the study has so many trials."""
    begin(
        study,
        SPACE,
        neighbours=[ONE],
        sources=Trials.of(source_trials_of(["one"])),
        priors=priors,
        learners=learners,
        settings=settings,
        whole=whole,
    )
    if trials:
        work(study, share(MemoryStore(), budget=trials))


def ended(study: optuna.Study, values: Sequence[Sequence[float]]) -> None:
    """Completed trials of these objectives, the score first."""
    architecture = source_trials_of(["one"], 1)[0].architecture.json
    study.add_trials(
        [
            optuna.trial.create_trial(
                values=list(each),
                user_attrs={ARCHITECTURE: architecture, SEED: 0, RESULT: {"best": each[0]}},
            )
            for each in values
        ]
    )


def test_the_best_of_thousands_is_told_in_a_moment(study: optuna.Study) -> None:
    ended(study, [[number / 10_000] for number in range(5000)] + [[0.4999], [0.1]])
    begin = time.monotonic()
    found = result(study)
    assert time.monotonic() - begin < 5
    assert found.best is not None
    assert found.best.number == 4999  # the first of equals
    assert found.front == (found.best,)


def test_the_front_of_thousands_is_told_in_a_moment() -> None:
    objectives = ("score", "-params")
    study = study_in(optuna.storages.InMemoryStorage(), objectives=objectives)
    beaten = [[number / 10_000 - 0.1, float(number)] for number in range(2500)]
    ended(study, [[number / 10_000, float(number)] for number in range(2500)] + beaten)
    begin = time.monotonic()
    found = result(study)
    assert time.monotonic() - begin < 5
    assert [each.number for each in found.front] == list(range(2500))
    assert found.best == found.front[-1]


def test_none_of_the_front_is_beaten_and_all_others_are() -> None:
    objectives = ("score", "-params", "-flops")
    study = study_in(optuna.storages.InMemoryStorage(), objectives=objectives)
    rng = np.random.default_rng(0)
    values = rng.integers(0, 5, (200, 3)).astype(float)  # many are equal
    ended(study, values.tolist())
    points = values * [1, -1, -1]
    unbeaten = [
        number
        for number, point in enumerate(points)
        if not any((other >= point).all() and (other > point).any() for other in points)
    ]
    found = result(study)
    assert [each.number for each in found.front] == unbeaten
    assert found.best == next(each for each in found.front if each.score == values[:, 0].max())


def test_where_nothing_was_completed_there_is_no_front() -> None:
    study = study_in(optuna.storages.InMemoryStorage(), objectives=("score", "-params"))
    found = result(study)
    assert (found.best, found.front) == (None, ())


def test_a_resumed_study_tells_what_each_run_changed_and_from_which_trial(
    study: optuna.Study,
) -> None:
    run(study, FIRST, trials=3)
    run(study, FIRST, trials=4)
    run(study, OTHERS, trials=6)
    run(study, {**OTHERS, "device": "cuda"}, trials=7)
    run(study, OTHERS, trials=8)
    found = result(study)
    assert found.settings == FIRST
    assert found.changes == {4: OTHERS, 6: {"device": "cuda"}, 7: {"device": "default"}}
    text = search_report(found, MemoryStore(), SPACE).html()
    told = "sampler tpe, pruner median, budget 9, seed 5"
    assert f"<td>trial 4</td><td>{told}</td>" in text.replace(' class="wrap"', "")


def test_a_run_that_began_no_trial_and_a_worker_of_one_change_nothing(study: optuna.Study) -> None:
    run(study, FIRST, trials=2)
    run(study, OTHERS, trials=2)
    run(study, OTHERS, trials=2, whole=False)
    assert result(study).changes == {}
    run(study, {**FIRST, "budget": "4"}, trials=4)
    assert result(study).changes == {2: {"budget": "4"}}


def test_what_a_later_run_learned_from_counts_too(study: optuna.Study) -> None:
    run(study, FIRST, trials=2)
    assert (result(study).neighbours, result(study).learned) == ((), ())
    run(study, OTHERS, trials=3, learners=["sampler"])
    run(study, FIRST, trials=4)
    assert (result(study).neighbours, result(study).learned) == ((ONE,), ("sampler",))
    run(study, FIRST, trials=5, learners=["pruner"])
    assert result(study).learned == ("sampler", "pruner")


def test_priors_that_wait_for_the_run_after_are_learned_from_there(study: optuna.Study) -> None:
    run(study, OTHERS, trials=0, priors=2)
    run(study, FIRST, trials=3, priors=2)
    found = result(study)
    assert (found.learned, found.priors, found.settings) == (("priors",), 2, FIRST)


def test_a_study_of_an_earlier_version_is_read_and_resumed(study: optuna.Study) -> None:
    told = {"neighbours": [["one", 0.5, 1.0]], "priors": 0, "settings": FIRST}
    study.set_user_attr(START, told)
    found = result(study)
    assert (found.neighbours, found.settings, found.changes) == ((ONE,), FIRST, {})
    assert found.learned == ()
    text = search_report(found, MemoryStore(), SPACE).html()
    assert "a cold start" not in text
    assert "What learned" not in text
    run(study, OTHERS, trials=1)
    run(study, FIRST, trials=2)
    assert result(study).changes == {1: FIRST}


def test_a_default_that_an_earlier_version_did_not_name_is_no_change(study: optuna.Study) -> None:
    old = {"task": "target", "space": "mini", "sampler": "xfernas", "pruner": "default"}
    old |= {"objective": "score", "budget": "3", "seed": "0"}
    told = {"neighbours": [], "priors": 0, "settings": old}
    study.set_user_attr(START, told)
    work(study, share(MemoryStore(), budget=1))
    run(study, {**old, "pruner": "lcranknet"}, trials=2)
    run(study, {**old, "pruner": "lcranknet", "budget": "4", "device": "cpu"}, trials=3)
    run(study, {**old, "pruner": "none", "budget": "4"}, trials=4)
    changes = {2: {"budget": "4", "device": "cpu"}, 3: {"pruner": "none", "device": "default"}}
    assert result(study).changes == changes
