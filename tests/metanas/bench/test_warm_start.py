import os
from pathlib import Path

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.table import read_tables
from metanas.bench.warm_start import DEFAULT, METHODS, bench_warm_start, paired_difference
from metanas.strategies import STRATEGIES
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import some_cells

DATA = Path(os.environ.get("METANAS_DATA", Path(__file__).parents[4] / "shared" / "data"))
QUICK = ("random", "evolution", "portfolio")


@pytest.fixture(scope="module")
def trials() -> Trials:
    cells = some_cells(200)
    rows = [trial("easy", each, pretended(each)) for each in cells]
    rows += [trial("hard", each, 0.5 * pretended(each)) for each in cells]
    return Trials.of(rows)


def test_gives_every_number_of_every_method(trials: Trials) -> None:
    found = bench_warm_start(trials, "hard", sources=30, budget=12, seeds=3, methods=QUICK)
    assert set(found["methods"]) == set(QUICK)
    for name, row in found["methods"].items():
        assert list(row["regret"]) == list(row["std"]) == ["1", "5", "10", "12"]
        regrets = list(row["regret"].values())
        assert regrets == sorted(regrets, reverse=True)
        assert row["ms_per_suggestion"] > 0.0
        per_seed = found["targets"]["hard"][name]["per_seed"]
        assert len(per_seed["5"]) == 3
        assert row["regret"]["5"] == pytest.approx(np.mean(per_seed["5"]))
    against = found["paired"]["hard"]["portfolio"]["random"]["5"]
    apart = found["methods"]["portfolio"]["regret"]["5"] - found["methods"]["random"]["regret"]["5"]
    assert against["difference"] == pytest.approx(apart)
    assert against["low"] <= against["difference"] <= against["high"]


def test_xfernas_finds_the_best_before_chance_does(trials: Trials) -> None:
    found = bench_warm_start(
        trials, "hard", sources=60, budget=5, seeds=2, methods=("random", "xfernas")
    )["methods"]
    assert found["xfernas"]["regret"]["5"] < 0.5 * found["random"]["regret"]["5"]


def test_regrets_of_fractions_are_percentage_points_and_end_at_zero(trials: Trials) -> None:
    few = trials.take(np.r_[:30, 200:230])
    found = bench_warm_start(few, "hard", sources=10, budget=99, seeds=1, methods=["random"])
    regret = found["methods"]["random"]["regret"]
    assert list(regret) == ["1", "5", "10", "20", "30"]
    assert regret["30"] == 0.0
    worst = 100.0 * np.ptp(few.where(task="hard").scores)
    assert 0.0 < regret["1"] <= worst + 1e-6


@pytest.mark.slow
def test_workers_change_nothing_but_the_time(trials: Trials) -> None:
    one, two = (
        bench_warm_start(
            trials, "hard", sources=20, budget=5, seeds=2, methods=QUICK, workers=workers
        )
        for workers in (1, 2)
    )
    for method in QUICK:
        assert one["methods"][method]["regret"] == two["methods"][method]["regret"]


def test_progress_counts_every_search(trials: Trials) -> None:
    seen: list[tuple[int, int]] = []
    bench_warm_start(
        trials,
        "easy",
        sources=20,
        budget=2,
        seeds=2,
        methods=QUICK,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"target": "none"}, "no trials of task 'none'; there are easy, hard"),
        ({"source_tasks": ["none"]}, "no trials of task 'none'"),
        ({"methods": ["magic"]}, "unknown method 'magic'"),
        ({"methods": []}, "at least one method"),
        ({"budget": 0}, "1 evaluation"),
        ({"sources": 1}, "at least 2 sources"),
        ({"source_tasks": ["hard"]}, "another task than 'hard'"),
    ],
)
def test_wrong_input_gets_one_line(trials: Trials, change: dict[str, object], reason: str) -> None:
    options: dict[str, object] = {"target": "hard", "seeds": 1, "budget": 1, "methods": QUICK}
    with pytest.raises(ValueError, match=reason):
        bench_warm_start(trials, **{**options, **change})  # type: ignore[arg-type]


def test_a_paired_difference_is_that_of_a_paired_t_test() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    one, other = rng.normal(size=20), rng.normal(0.3, 1.0, size=20)
    found, wanted = paired_difference(one, other), ttest_rel(one, other)
    interval = wanted.confidence_interval()
    assert found["p"] == pytest.approx(wanted.pvalue)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    assert paired_difference(one, one)["p"] == 1.0
    assert paired_difference(one + 1.0, one)["p"] == pytest.approx(0.0, abs=1e-6)
    assert paired_difference(one[:1], other[:1])["p"] is None


def test_the_methods_compared_exist() -> None:
    assert set(DEFAULT) <= set(METHODS)
    assert set(STRATEGIES) <= set(METHODS)


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "nasbench201_cifar100.parquet").exists(), reason="no NAS-Bench-201 tables"
)
def test_from_200_cells_of_another_data_set_the_best_is_found_soon() -> None:
    files = [DATA / f"nasbench201_{name}.parquet" for name in ("cifar10", "cifar100")]
    table = Trials.concat([Trials(part) for file in files for part in read_tables(file)])
    found = bench_warm_start(table, "cifar100", budget=10, seeds=2, methods=["xfernas"])
    assert found["methods"]["xfernas"]["regret"]["10"] < 0.9
