import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task, Trial
from metanas.bench.zero_shot import METHODS, bench_zero_shot
from metanas.predictors import PREDICTORS
from metanas.protocols import Prediction
from metanas.spaces.nasbench201 import cell
from tests.contracts.predictor import pretended, trial

DATA = Path(os.environ.get("METANAS_DATA", Path(__file__).parents[4] / "shared" / "data"))
QUICK = ("portfolio", "ridge", "random")


@pytest.fixture(scope="module")
def trials() -> Trials:
    cells = [cell(int(i)) for i in np.random.default_rng(0).choice(15_625, 300, replace=False)]
    rows = [trial("easy", c, pretended(c)) for c in cells]
    rows += [trial("hard", c, 0.5 * pretended(c)) for c in cells]
    return Trials.of(rows)


def test_gives_every_number_of_every_method(trials: Trials) -> None:
    found = bench_zero_shot(trials, "hard", sources=40, seeds=2, methods=QUICK)
    assert set(found["methods"]) == set(QUICK)
    for row in found["methods"].values():
        for key in ("regret_top1", "regret_top5", "regret_top10", "spearman", "kendall", "seconds"):
            assert isinstance(row[key], float)
            assert isinstance(row["std"][key], float)
        assert row["regret_top1"] >= row["regret_top5"] >= row["regret_top10"] >= 0.0
    seeds = found["targets"]["hard"]["ridge"]["per_seed"]["kendall"]
    assert len(seeds) == 2
    assert found["methods"]["ridge"]["kendall"] == pytest.approx(np.mean(seeds))


def test_a_method_that_learns_beats_chance(trials: Trials) -> None:
    methods = bench_zero_shot(trials, "hard", sources=60, seeds=2, methods=QUICK)["methods"]
    assert methods["ridge"]["kendall"] > 0.9
    assert methods["ridge"]["regret_top1"] < 1.0
    assert abs(methods["random"]["kendall"]) < 0.2
    assert methods["random"]["regret_top1"] > methods["ridge"]["regret_top1"]


def test_regrets_of_fractions_are_percentage_points(trials: Trials) -> None:
    found = bench_zero_shot(trials, "hard", sources=40, seeds=1, methods=["random"])
    hard = trials.where(task="hard").scores
    assert found["methods"]["random"]["regret_top1"] <= 100.0 * (hard.max() - hard.min()) + 1e-6
    losses = [trial(t.task, t.architecture, -50.0 * (t.score or 0.0)) for t in trials]
    found = bench_zero_shot(Trials.of(losses), "hard", sources=40, seeds=1, methods=["random"])
    assert found["methods"]["random"]["regret_top1"] <= 50.0 * (hard.max() - hard.min()) + 1e-6


def test_is_the_same_each_time_and_whatever_the_order_of_rows(trials: Trials) -> None:
    rows = np.random.default_rng(1).permutation(len(trials))
    found = []
    for batch in (trials, trials, trials.take(rows)):
        bench = bench_zero_shot(batch, "hard", sources=30, seeds=2, methods=["tapas", "portfolio"])
        measured = {method: row["per_seed"] for method, row in bench["targets"]["hard"].items()}
        for row in measured.values():
            del row["seconds"]
        found.append(measured)
    assert found[0] == found[1] == found[2]


def test_the_targets_scores_are_never_seen(trials: Trials) -> None:
    class Blind:
        def __init__(self, *, space: object) -> None:
            self.wrapped = PREDICTORS["portfolio"](space=space)

        def fit(self, rows: Trials, tasks: object) -> "Blind":
            assert rows.present("task") == ["easy"]
            assert "hard" not in tasks  # type: ignore[operator]
            self.wrapped.fit(rows, {})
            return self

        def predict(self, architectures: list[Architecture], task: object) -> object:
            return self.wrapped.predict(architectures, task)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PREDICTORS, "blind", Blind)  # type: ignore[arg-type]
        bench_zero_shot(trials, "hard", sources=30, seeds=1, methods=["blind"])


def test_the_time_is_that_of_one_prediction(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    class Slow:
        def __init__(self, *, space: object) -> None:
            self.wrapped = PREDICTORS["portfolio"](space=space)

        def fit(self, rows: Trials, tasks: dict[str, Task]) -> "Slow":
            self.wrapped.fit(rows, tasks)
            clock[0] += 100.0
            return self

        def predict(self, architectures: list[Architecture], task: Task) -> Prediction:
            clock[0] += 1.0
            return self.wrapped.predict(architectures, task)

    monkeypatch.setitem(PREDICTORS, "slow", Slow)
    monkeypatch.setattr("metanas.bench.zero_shot.time.perf_counter", lambda: clock[0])
    found = bench_zero_shot(trials, "hard", sources=30, seeds=1, methods=["slow"])
    assert found["methods"]["slow"]["seconds"] == 101.0


def test_several_targets_are_left_out_in_turn_and_averaged(trials: Trials) -> None:
    found = bench_zero_shot(trials, ["hard", "easy"], sources=40, seeds=2, methods=["ridge"])
    each = [found["targets"][name]["ridge"]["kendall"] for name in ("hard", "easy")]
    assert found["methods"]["ridge"]["kendall"] == pytest.approx(np.mean(each))


def test_progress_is_told_of_every_fit(trials: Trials) -> None:
    seen: list[tuple[int, int]] = []
    bench_zero_shot(
        trials,
        "hard",
        sources=20,
        seeds=2,
        methods=["ridge", "random"],
        progress=lambda done, todo: seen.append((done, todo)),
    )
    assert seen == [(i, 4) for i in range(1, 5)]


@pytest.fixture(scope="module")
def contrary() -> Trials:
    """Two pairs of tasks that rank architectures in opposite ways."""
    cells = [cell(i) for i in range(0, 15_625, 61)]
    rows: list[Trial] = []
    for shift in (0.0, 0.02):
        rows += [trial(f"up {shift}", c, 0.9 * pretended(c) - shift) for c in cells]
        rows += [trial(f"down {shift}", c, 0.4 - 0.3 * pretended(c) + shift) for c in cells]
    return Trials.of(rows)


def test_where_sources_disagree_a_landmark_tells_which_to_believe(contrary: Trials) -> None:
    methods = ["nearest_task", "ridge"]
    found = bench_zero_shot(contrary, "up 0.02", sources=60, seeds=2, methods=methods)["methods"]
    assert found["nearest_task"]["evaluations"] == 1.0
    assert found["ridge"]["evaluations"] == 0.0
    assert found["nearest_task"]["spearman"] > 0.1
    without = bench_zero_shot(
        contrary, "up 0.02", sources=60, seeds=1, methods=methods, landmark=False
    )["methods"]
    assert without["nearest_task"]["evaluations"] == 0.0


def test_where_sources_agree_nothing_is_measured(trials: Trials) -> None:
    found = bench_zero_shot(trials, "hard", sources=40, seeds=1, methods=["nearest_task"])
    assert found["methods"]["nearest_task"]["evaluations"] == 0.0


def test_scores_that_do_not_differ_rank_nothing(trials: Trials) -> None:
    flat = [trial("flat", t.architecture, 0.5) for t in trials if t.task == "easy"]
    both = Trials.of([*trials.where(task="easy"), *flat])
    methods = ["ridge", "portfolio", "random"]
    found = bench_zero_shot(both, "flat", sources=40, seeds=1, methods=methods)
    for row in found["methods"].values():
        assert row["spearman"] == row["kendall"] == row["regret_top1"] == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "nowhere"}, "no trials of target 'nowhere'"),
        ({"methods": ["magic"]}, "unknown method 'magic'"),
        ({"methods": []}, "need a target, a method"),
        ({"sources": 1}, "at least 2 sources"),
        ({"seeds": 0}, "1 seed"),
        ({"target": []}, "need a target"),
    ],
)
def test_what_makes_no_sense_is_refused(
    trials: Trials, options: dict[str, object], message: str
) -> None:
    arguments = {"target": "hard", "sources": 20, "seeds": 1, "methods": ["random"], **options}
    with pytest.raises(ValueError, match=message):
        bench_zero_shot(trials, **arguments)  # type: ignore[arg-type]


def test_a_task_alone_is_refused(trials: Trials) -> None:
    with pytest.raises(ValueError, match="another task"):
        bench_zero_shot(trials.where(task="hard"), "hard", methods=["random"])


def test_the_default_methods_exist() -> None:
    assert set(METHODS) <= set(PREDICTORS)


@pytest.mark.slow
def test_tapas_finds_the_top_of_nasbench201_from_another_data_set() -> None:
    files = [DATA / f"nasbench201_{name}.parquet" for name in ("cifar10", "cifar100")]
    if not all(file.is_file() for file in files):
        pytest.skip(f"NAS-Bench-201's tables are not in {DATA}; set METANAS_DATA")
    trials = Trials.concat([Trials(pq.read_table(file)) for file in files])
    found = bench_zero_shot(trials, "cifar100", sources=200, seeds=3, methods=["tapas"])
    tapas = found["methods"]["tapas"]
    assert tapas["regret_top1"] <= 2.3
    assert tapas["regret_top5"] <= 0.8
    assert tapas["kendall"] >= 0.8
