import math
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.bench.curve_baselines import CURVE_METHODS, LEARNERS
from metanas.bench.curve_baselines.learned import GradientBoosting, SupportVectors
from metanas.bench.curve_baselines.target import Target
from metanas.bench.early_stop import _Pool, bench_early_stop
from metanas.bench.early_stop_page import early_stop_page
from metanas.rankers.lcranknet import LCRankNet
from metanas.rankers.lcranknet_paper import LCRankNetPaper
from metanas.spaces import space_of
from tests.contracts.ranker import choices, run, source_trials

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


def test_runs_of_one_report_are_refused(trials: Trials) -> None:
    last = [replace(each, curve=LearningCurve("score", (9,), (0.5,))) for each in trials]
    with pytest.raises(ValueError, match="runs of at least two reports each, got 1"):
        bench(Trials.of(last), QUICK)


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


def _reported_at(trial: Trial, epochs: Sequence[int]) -> Trial:
    """The same run, heard of at some of its epochs only."""
    values = tuple(trial.curve.values[epoch - 1] for epoch in epochs)
    return replace(trial, curve=LearningCurve(trial.curve.metric, tuple(epochs), values))


def test_of_a_target_only_the_runs_of_its_most_frequent_length_count(trials: Trials) -> None:
    rows = list(trials)
    plain = [each for each in rows if each.task == "three"]
    short = [_reported_at(each, range(1, 5)) for each in plain[:15]]
    odd = Trials.of([*(each for each in rows if each.task != "three"), *short, *plain[15:]])
    found = bench(odd, ("none", "median"), runs=12)
    assert found["left_out"] == {"three": 15}
    # Runs of four epochs would have diverged, and the worst one would be the floor.
    target = _Pool.of(odd)
    assert set(odd.lengths[odd.codes("task") == odd.names("task").index("three")]) == {4, 10}
    assert set(target.trials.lengths[target.rows("three")]) == {10}
    assert bench(trials, ("none",))["left_out"] == {}


def test_lengths_as_frequent_give_the_longest_and_failed_runs_stay(trials: Trials) -> None:
    runs = [each for each in trials if each.task == "three"][:24]
    broken = [
        replace(_reported_at(each, range(1, 4)), state=TrialState.FAILED) for each in runs[20:]
    ]
    strange = [replace(_reported_at(runs[0], (2, 3)), state=TrialState.FAILED, seed=5)]
    thinned = [replace(_reported_at(each, (5, 10)), seed=6) for each in runs[:3]]
    short = [_reported_at(each, range(1, 6)) for each in runs[:13]]
    pool = _Pool.of(Trials.of([*short, *runs[10:20], *broken, *strange, *thinned]))
    kept = pool.trials.take(pool.rows("three"))
    assert sorted(kept.lengths.tolist()) == [3] * 4 + [10] * 10
    assert pool.odd("three") == 13 + 1 + 3


UNEVEN = (1, 2, 4, 8, 16, 32)


@pytest.fixture(scope="module")
def uneven() -> Trials:
    """Runs of 32 epochs, reported at six of them."""
    return Trials.of(
        [
            _reported_at(run(task, *choice, epochs=32, upto=32, shift=0.05 * index), UNEVEN)
            for index, task in enumerate(("one", "two", "three"))
            for choice in choices(44)
        ]
    )


def test_shares_are_of_epochs_and_not_of_reports(uneven: Trials) -> None:
    found = bench(uneven, ("oracle", "none"), runs=24, orders=1)["stopping"]
    assert found["none"]["epochs_share"] == 1.0
    # All but the runs that led for a while end after the first of 32 epochs.
    least = (1.0 + 23 / 32) / 24
    assert least <= found["oracle"]["epochs_share"] < 0.3
    whole = (24 * found["oracle"]["epochs_share"] - 24 / 32) / (1 - 1 / 32)
    assert whole == pytest.approx(round(whole))


def test_a_stopped_run_was_trained_for_the_points_it_had_reported(
    uneven: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metanas.bench.curve_baselines import rankers

    def after_every_position(
        ranker: object, trials: Trials, orders: np.ndarray, deltas: list[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        found = 1 + np.arange(len(trials)) % 6
        return np.tile(found, (len(deltas), len(orders), 1)), np.array(UNEVEN) / 32

    monkeypatch.setattr(rankers, "replay", after_every_position)
    method = rankers.Default(space=space_of(uneven), seed=0, outcome="final")
    method.fit(uneven, {})
    target = Target.of(Task.table("three"), uneven.where(task="three"), "final")
    for setting in method.stop(target, np.arange(44)[None]):
        assert setting.lengths[0].tolist() == (1 + np.arange(44) % 6).tolist()


def test_lcranknet_is_judged_by_epochs_on_runs_reported_unevenly(uneven: Trials) -> None:
    found = bench(uneven, ("lcranknet", "lcranknet-alone", "curve-mixture"), runs=24)
    for row in found["stopping"].values():
        for point in row["tradeoff"]:
            assert 1 / 32 < point["epochs_share"] <= 1.0


@pytest.mark.parametrize("method", CURVE_METHODS)
def test_one_source_is_enough(trials: Trials, method: str) -> None:
    two = trials.take(trials.codes("task") != trials.names("task").index("two"))
    found = bench(two, (method,), runs=14, orders=2)
    assert set(found["ranking"]) | set(found["stopping"]) == {method}


def test_with_one_source_lcranknet_stops_as_it_does_alone(trials: Trials) -> None:
    two = trials.take(trials.codes("task") != trials.names("task").index("two"))
    stopping = bench(two, ("lcranknet", "lcranknet-alone"), runs=14)["stopping"]
    alone, own = stopping["lcranknet-alone"], stopping["lcranknet"]
    assert {**own, "tradeoff": own["tradeoff"][1:]} == alone


def test_without_numbers_half_is_learned_from_and_half_is_judged(trials: Trials) -> None:
    options = {"methods": ["none"], "orders": 1}
    found = bench_early_stop(trials, **options)  # type: ignore[arg-type]
    assert (found["sources"], found["runs"], found["small"]) == (22, 22, [])
    few = Trials.of([*trials, *(replace(each, task="few") for each in list(trials)[:12])])
    found = bench_early_stop(few, **options)  # type: ignore[arg-type]
    assert (found["sources"], found["runs"], found["small"]) == (22, 22, ["few"])
    found = bench_early_stop(few, "few", **options)  # type: ignore[arg-type]
    assert found["sources"] == 6
    with pytest.raises(ValueError, match="10 runs of 'few' beside the 40 sources"):
        bench_early_stop(few, "few", sources=40, runs=200, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="beside the 44 sources"):
        bench_early_stop(trials, sources=44, runs=200, **options)  # type: ignore[arg-type]


def test_many_runs_are_not_all_used(trials: Trials) -> None:
    again = Trials.of([run(t, *c) for t in ("one", "two") for c in choices(410)])
    found = bench_early_stop(again, "one", methods=["none"], orders=1)
    assert (found["sources"], found["runs"]) == (200, 200)


def test_the_page_shows_every_method(trials: Trials) -> None:
    found = bench(trials, QUICK)
    text = early_stop_page(found)
    for method in QUICK:
        assert method in text
    assert "<svg" in text
    assert "left out" not in text
    assert "mathdefault" not in text  # ticks are numbers
    assert "length or metric than most: 3 of a&lt;b." in early_stop_page(
        {**found, "left_out": {"a<b": 3}}
    )


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


@pytest.mark.parametrize("target", [None, "one"])
def test_on_a_single_task_those_compete_that_need_no_other(
    trials: Trials, target: str | None
) -> None:
    found = bench_early_stop(trials.where(task="one"), target, orders=1)
    more = {"methods": ["none"], "orders": 1, "sources": 200}
    assert bench_early_stop(trials.where(task="one"), target, **more)["sources"] == 0  # type: ignore[arg-type]
    assert set(found["unfit"]) == LEARNERS
    assert set(found["stopping"]) | set(found["ranking"]) == set(CURVE_METHODS) - LEARNERS
    assert (found["sources"], found["runs"]) == (0, 44)
    default, alone = (found["stopping"][name] for name in ("lcranknet", "lcranknet-alone"))
    assert default["tradeoff"][1:] == alone["tradeoff"]
    assert "nothing to learn from: lcranknet-paper, svr" in early_stop_page(found)


def test_what_learns_from_others_is_refused_on_a_single_task(trials: Trials) -> None:
    for method in LEARNERS:
        with pytest.raises(ValueError, match=f"{method} learns from other tasks than 'one'"):
            bench_early_stop(trials.where(task="one"), methods=[method])


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


@pytest.mark.parametrize("epochs", [5, 20, 100])
def test_learners_take_targets_of_any_length(trials: Trials, epochs: int) -> None:
    target = [run("long", *choice, upto=epochs, epochs=epochs) for choice in choices(60, 3)]
    both = Trials.concat([trials, Trials.of(target)])
    methods = ["gradient-boosting", "svr", "curve-matching", "oracle"]
    found = bench_early_stop(both, "long", sources=60, runs=12, orders=2, methods=methods)
    assert set(found["stopping"]) == set(methods)
    for row in found["stopping"].values():
        assert all(1 / epochs <= each["epochs_share"] <= 1.0 for each in row["tradeoff"])


def test_learners_are_asked_for_what_had_been_seen_by_then(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = GradientBoosting(space=space_of(trials), seed=0, outcome="final")
    made.fit(trials.where(task="one"), {})
    seen: list[int] = []
    monkeypatch.setattr(made, "_rank", lambda curves, codes, length: seen.append(length))
    whole = [run("new", *choice) for choice in choices(3, 3)]
    halves = [
        replace(
            each,
            curve=LearningCurve("accuracy", (5, 10), (each.curve.values[4], each.curve.values[9])),
        )
        for each in whole
    ]
    long = [run("new", *choice, upto=40, epochs=40) for choice in choices(3, 3)]
    for rows, length in ((whole, 5), (halves, 1), (long, 20), (long, 1)):
        made.rank(Target.of(Task.table("new"), Trials.of(rows), "final"), length)
    assert seen == [5, 5, 5, 1]


def test_runs_of_another_metric_are_left_out(trials: Trials) -> None:
    rows = list(trials.where(task="one"))
    other = [
        replace(each, curve=LearningCurve("loss", each.curve.epochs, each.curve.values))
        for each in rows[:5]
    ]
    mixed = Trials.of([*other, *rows[5:], *trials.where(task="two"), *trials.where(task="three")])
    found = bench_early_stop(mixed, "one", sources=10, runs=10, orders=1, methods=["none"])
    assert found["left_out"] == {"one": 5}


def test_a_task_of_diverged_runs_is_no_target(trials: Trials) -> None:
    nothing = (math.nan,) * 10
    bad = [
        replace(
            each,
            task="bad",
            curve=LearningCurve("accuracy", each.curve.epochs, nothing),
            state=TrialState.FAILED,
        )
        for each in trials.where(task="one")
    ]
    both = Trials.concat([trials, Trials.of(bad)])
    found = bench_early_stop(both, sources=20, orders=1, methods=["curve-mixture"])
    assert found["small"] == ["bad"]
    with pytest.raises(ValueError, match="all diverged"):
        bench_early_stop(both, "bad", sources=20, orders=1, methods=["curve-mixture"])
