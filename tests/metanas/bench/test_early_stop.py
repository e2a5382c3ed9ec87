import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas.bench.curve_baselines import CURVE_METHODS
from metanas.bench.curve_baselines.learned import GradientBoosting, SupportVectors
from metanas.bench.early_stop import bench_early_stop
from metanas.bench.early_stop_page import early_stop_page
from metanas.rankers.lcranknet import LCRankNet
from metanas.rankers.lcranknet_paper import LCRankNetPaper
from tests.contracts.ranker import choices, source_trials

DATA = Path(os.environ.get("METANAS_DATA", Path(__file__).parents[4] / "shared" / "data"))
QUICK = ("last-value", "best-value", "none", "oracle")


@pytest.fixture(scope="module")
def trials() -> Trials:
    return Trials.of(source_trials(count=44))


@pytest.fixture(autouse=True)
def _quick_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    from metanas.bench.curve_baselines import rankers

    quick = partial(LCRankNet, folds=2, searches=2, steps=60)
    monkeypatch.setattr(rankers, "LCRankNet", quick)
    monkeypatch.setattr(rankers, "LCRankNetPaper", partial(LCRankNetPaper, steps=60, pairs=64))


def bench(trials: Trials, methods: tuple[str, ...], target: object = "three", **more: int) -> dict:
    options = {"sources": 20, "runs": 24, "orders": 3, **more}
    return bench_early_stop(trials, target, methods=methods, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", CURVE_METHODS)
def test_every_method_ranks_or_stops(trials: Trials, method: str) -> None:
    found = bench(trials, (method,), runs=14, orders=2)
    assert set(found["ranking"]) | set(found["stopping"]) == {method}
    for row in found["ranking"].values():
        assert set(row) == {"1", "2", "5"}
        for measured in row.values():
            assert -1.0 <= measured["kendall"] <= 1.0
            assert -1.0 <= measured["spearman"] <= 1.0
    for row in found["stopping"].values():
        assert row["regret"] >= 0.0
        assert 0.0 < row["epochs_share"] <= 1.0
        assert row["tradeoff"]


def test_no_stopping_and_the_oracle_are_the_bounds(trials: Trials) -> None:
    stopping = bench(trials, QUICK)["stopping"]
    assert stopping["none"]["regret"] == stopping["oracle"]["regret"] == 0.0
    assert stopping["none"]["epochs_share"] == 1.0
    for method in ("last-value", "best-value"):
        assert stopping["oracle"]["epochs_share"] < stopping[method]["epochs_share"] < 1.0


def test_a_ranker_that_learned_beats_the_last_value(trials: Trials) -> None:
    ranking = bench(trials, ("lcranknet", "gradient-boosting", "last-value"))["ranking"]
    for method in ("lcranknet", "gradient-boosting"):
        assert ranking[method]["2"]["spearman"] > ranking["last-value"]["1"]["spearman"]
    assert ranking["lcranknet"]["5"]["spearman"] > 0.8


def test_without_a_target_each_task_is_left_out_in_turn(trials: Trials) -> None:
    calls: list[tuple[int, int]] = []
    found = bench_early_stop(
        trials,
        methods=["last-value"],
        sources=20,
        runs=10,
        orders=1,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert sorted(found["targets"]) == ["one", "three", "two"]
    assert calls[-1] == (3, 3)


def test_several_targets_are_left_out_together(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    plain = GradientBoosting.fit

    def spy(self: GradientBoosting, known: Trials, tasks: object) -> GradientBoosting:
        seen.append((known.present("task"), len(known.architectures)))
        return plain(self, known, tasks)  # type: ignore[arg-type]

    monkeypatch.setattr(GradientBoosting, "fit", spy)
    bench(trials, ("gradient-boosting",), ["two", "three"])
    assert seen == [(["one"], 20)]


def test_what_is_learned_from_and_what_is_judged_share_no_architecture(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: set[str] = set()
    judged: set[str] = set()

    class Spy(SupportVectors):
        def fit(self, trials: Trials, tasks: object) -> "Spy":
            known.update(a.key for a in trials.architectures)
            return self

        def rank(self, target: object, length: int) -> None:
            judged.update(a.key for a in target.trials.architectures)  # type: ignore[attr-defined]

        def stop(self, target: object, orders: object) -> list:
            return []

    monkeypatch.setitem(CURVE_METHODS, "spy", Spy)
    bench(trials, ("spy",))
    assert known
    assert judged
    assert not known & judged


def test_regrets_of_losses_are_in_their_own_unit(trials: Trials) -> None:
    found = bench(trials, ("last-value",))
    assert found["unit"] == "percentage points"
    losses = Trials.of(
        [
            Trial(
                t.task,
                t.architecture,
                LearningCurve(
                    "negative_loss", t.curve.epochs, tuple(v - 2 for v in t.curve.values)
                ),
                TrialState.COMPLETED,
                0,
                "made up",
            )
            for t in trials
        ]
    )
    moved = bench(losses, ("last-value",))
    assert moved["unit"] == "negative_loss"
    one, other = (each["stopping"]["last-value"] for each in (found, moved))
    assert other["regret"] == pytest.approx(one["regret"] / 100.0, abs=1e-4)


def test_the_same_seed_gives_the_same_figures_whatever_the_order_of_rows(trials: Trials) -> None:
    methods = ("last-value", "median", "lcranknet")
    rows = np.random.default_rng(1).permutation(len(trials))
    one, other = (bench(batch, methods) for batch in (trials, trials.take(rows)))
    assert one["ranking"]["last-value"] == other["ranking"]["last-value"]
    assert one["stopping"]["median"] == other["stopping"]["median"]
    again = bench(trials, methods)
    assert one["ranking"] == again["ranking"]
    assert one["stopping"]["lcranknet"]["regret"] == again["stopping"]["lcranknet"]["regret"]


def test_a_search_meets_no_architecture_twice(trials: Trials) -> None:
    again = [replace(t, seed=7, curve=_at_chance(t.curve)) for t in trials if t.task == "three"]
    repeated = Trials.of([*again, *trials])
    methods = ("last-value", "median")
    assert bench(repeated, methods)["stopping"] == bench(trials, methods)["stopping"]


def _at_chance(curve: LearningCurve) -> LearningCurve:
    return replace(curve, values=(0.1,) * len(curve.values))


def test_diverged_runs_are_the_worst() -> None:
    rows = source_trials(count=30)
    for index in range(0, len(rows), 7):
        t = rows[index]
        values = (*t.curve.values[:2], *[float("nan")] * (len(t.curve) - 2))
        curve = LearningCurve("accuracy", t.curve.epochs, values)
        rows[index] = Trial(t.task, t.architecture, curve, t.state, 0, "made up")
    methods = ("last-value", "curve-mixture", "gradient-boosting", "lcranknet", "median")
    found = bench(Trials.of(rows), methods, sources=16, runs=14)
    for row in found["stopping"].values():
        assert np.isfinite(row["regret"])


def test_the_page_shows_every_method(trials: Trials) -> None:
    text = early_stop_page(bench(trials, QUICK))
    for method in QUICK:
        assert method in text
    assert "<svg" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "nine"}, "nine"),
        ({"methods": ["guess"]}, "guess"),
        ({"outcome": "mean"}, "outcome"),
        ({"sources": 0}, "sources"),
        ({"sources": 44}, "runs of"),
    ],
)
def test_senseless_questions_are_refused(
    trials: Trials, options: dict[str, object], said: str
) -> None:
    given = {"target": "one", "methods": ["none"], "sources": 20, **options}
    with pytest.raises(ValueError, match=said):
        bench_early_stop(trials, **given)  # type: ignore[arg-type]


def test_a_single_task_is_refused(trials: Trials) -> None:
    with pytest.raises(ValueError, match="another task"):
        bench_early_stop(trials.where(task="one"), "one", methods=["none"])


def test_known_curves_are_ranked_as_measured_before() -> None:
    file = DATA / "lcbench_surrogate_24tasks.parquet"
    if not file.exists():
        pytest.skip(f"needs {file}")
    from metadata_store.table import read_tables

    trials = Trials.concat([Trials(table) for table in read_tables(str(file))])
    target = sorted(trials.present("task"))[0]
    found = bench_early_stop(trials, target, methods=["last-value", "oracle"], orders=5)
    ranked = found["ranking"]["last-value"]
    assert ranked["20"]["spearman"] > ranked["5"]["spearman"] > ranked["1"]["spearman"]
    assert 0.03 < found["stopping"]["oracle"]["epochs_share"] < 0.07


def test_choices_and_architectures_match() -> None:
    assert all(isinstance(t.architecture, Architecture) for t in source_trials(count=2))
    assert len(choices(3)) == 3
