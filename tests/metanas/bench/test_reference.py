from dataclasses import replace

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import LearningCurve, Task, Trial
from metanas.bench.rank_agreement import rank_agreement
from metanas.bench.reference import attainable, bench_reference
from metanas.spaces.nasbench201 import cell
from tests.contracts.predictor import pretended, trial

CELLS = [cell(int(i)) for i in np.random.default_rng(0).choice(15_625, 24, replace=False)]
EPOCHS = (1, 2, 3, 4)


def curved(one: Trial) -> Trial:
    score = one.score or 0.0
    curve = LearningCurve("val_accuracy", EPOCHS, tuple(score * e / 4 for e in EPOCHS))
    return replace(one, curve=curve)


@pytest.fixture(scope="module")
def trials() -> Trials:
    scales = {"one": 1.0, "two": 0.5, "three": 0.8}
    rows = [
        curved(trial(task, each, scale * pretended(each)))
        for task, scale in scales.items()
        for each in CELLS
    ]
    again = [
        replace(curved(trial("one", each, 0.9 * pretended(each))), seed=1) for each in CELLS[:6]
    ]
    return Trials.of(rows + again)


def tables(trials: Trials) -> dict[str, Task]:
    return {name: Task.table(name) for name in trials.present("task")}


def test_each_task_is_left_out_once(trials: Trials) -> None:
    seen: list[tuple[int, int, str]] = []
    found = bench_reference(
        trials,
        tables(trials),
        seeds=1,
        parts=["zero-shot"],
        progress=lambda done, total, what: seen.append((done, total, what)),
    )
    assert set(found["zero-shot"]["targets"]) == {"one", "two", "three"}
    assert found["zero-shot"]["sources"] == len(CELLS)
    assert found["zero-shot"]["better"]["random"] == 0
    assert seen[-1][0] == seen[-1][1]
    assert "warm-start" not in found


def test_chance_is_told_where_trainings_were_repeated(trials: Trials) -> None:
    found = bench_reference(trials, tables(trials), seeds=1, parts=["zero-shot"])
    assert found["zero-shot"]["repeatability"] == {"one": pytest.approx(1.0)}
    assert found["zero-shot"]["attainable"] == {"one": pytest.approx(1.0)}


def test_all_pairs_of_seeds_tell_of_chance(trials: Trials) -> None:
    backwards = [
        replace(curved(trial("one", each, 1.0 - pretended(each))), seed=2) for each in CELLS[:6]
    ]
    more = Trials.of([*trials, *backwards])
    found = bench_reference(more, tables(more), seeds=1, parts=["zero-shot"])
    assert found["zero-shot"]["repeatability"] == {"one": pytest.approx((1 - 1 - 1) / 3)}


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("noise", [0.3, 1.0, 1.7])
def test_what_is_attainable_is_what_the_truth_attains(seeds: int, noise: float) -> None:
    rng = np.random.default_rng(seeds)
    truth = rng.standard_normal(4000)
    scores = truth[:, None] + noise * rng.standard_normal((4000, 2 * seeds))
    two = rank_agreement(scores[:, 0], scores[:, 1])["kendall"]
    found = rank_agreement(scores[:, :seeds].mean(axis=1), truth)["kendall"]
    assert attainable(two, seeds) == pytest.approx(found, abs=0.03)
    assert attainable(-0.1, seeds) == 0.0


def test_an_unknown_part_is_an_error(trials: Trials) -> None:
    with pytest.raises(ValueError, match="unknown part 'zero'"):
        bench_reference(trials, tables(trials), parts=["zero"])


@pytest.mark.slow
def test_searches_and_stopping_are_measured_too(trials: Trials) -> None:
    found = bench_reference(trials, tables(trials), seeds=1, parts=["warm-start", "early-stop"])
    assert set(found["warm-start"]["targets"]) == {"one", "two", "three"}
    assert found["early-stop"]["stopping"]["none"]["epochs_share"] == pytest.approx(1.0)
    assert "zero-shot" not in found
