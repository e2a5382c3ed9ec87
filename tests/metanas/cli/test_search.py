import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import optuna
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metadata_store.store import open_store
from metanas.cli.demo import _facts as facts
from metanas.cli.output import emit
from metanas.cli.output import table as shown
from metanas.distribute import job
from metanas.importers.mlflow_client import connected
from metanas.search.storage import open_storage
from metanas.search.study import study_names
from tests.contracts.command_line import CommandLine, command_line
from tests.contracts.mlflow_database import copy_to
from tests.contracts.searches import source_trials_of

DATA = "synthetic:gratings#n=120&ways=3&size=8&seed=9"
TRAIN = ["--epochs", "2", "--width", "4", "--device", "cpu", "--seed", "1"]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", copy_to(tmp_path))


@pytest.fixture
def metanas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_store(url) as store:
        store.add_trials(source_trials_of(["one", "two"]))
    return command_line(url, capsys)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Of another task, which knows only some architectures."""
    found = source_trials_of(["target"], count=12, seed=5)
    trials = [replace(each, extras={"params": float(at)}) for at, each in enumerate(found)]
    file = tmp_path / "trials.parquet"
    pq.write_table(Trials.of(trials).table, file)
    return file


def searched(metanas: CommandLine, table: Path, *more: str) -> dict[str, object]:
    shown: dict[str, object] = metanas.ok(
        "search", "target", "--oracle", str(table), "--no-mlflow", *more
    )
    return shown


@pytest.mark.parametrize(
    "sampler", ["xfernas", "random", "evolution", "portfolio", "tpe", "nsga2", "gp"]
)
def test_an_oracle_answers_instead_of_training(
    metanas: CommandLine, table: Path, sampler: str
) -> None:
    found = metanas.ok(
        "search", "target", "--oracle", str(table), "--no-mlflow", "--budget", "5",
        "--sampler", sampler,
    )  # fmt: skip
    assert set(found) >= {"study", "best", "trials", "epochs_used", "mlflow_run"}
    assert [each["state"] for each in found["trials"]] == ["completed"] * 5
    known = {json.dumps(dict(each.architecture.choices)): each.score for each in _trials(table)}
    for each in found["trials"]:
        assert set(each) >= {"number", "architecture", "score", "state", "epochs", "seconds"}
        assert known[json.dumps(each["architecture"])] == pytest.approx(each["score"])
    assert found["best"]["score"] == max(each["score"] for each in found["trials"])
    assert found["epochs_used"] == 10
    with open_store(metanas.url) as store:
        kept = list(store.trials(task="target"))
    assert {each.source for each in kept} == {"search:target-1"}
    assert len(kept) == 5


def _trials(table: Path) -> list[Trial]:
    return list(Trials(pq.read_table(table)))


def test_the_same_study_is_resumed_and_counts_what_it_had(
    metanas: CommandLine, table: Path
) -> None:
    first = searched(metanas, table, "--budget", "3", "--study", "s", "--sampler", "tpe")
    again = searched(metanas, table, "--budget", "3", "--study", "s", "--sampler", "tpe")
    assert again == first
    more = searched(metanas, table, "--budget", "5", "--study", "s", "--sampler", "random")
    assert len(more["trials"]) == 5  # type: ignore[arg-type]
    assert more["trials"][:3] == first["trials"]  # type: ignore[index]


def test_a_study_without_a_name_gets_a_free_one(metanas: CommandLine, table: Path) -> None:
    names = [searched(metanas, table, "--budget", "1", "--sampler", "tpe")["study"] for _ in "ab"]
    assert names == ["target-1", "target-2"]


def test_searches_without_a_name_that_begin_together_are_studies_of_their_own(
    metanas: CommandLine, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["search", "target", "--oracle", str(table), "--no-mlflow", "--budget", "1"]
    begun = []
    prepared = job.make_pruner

    def meanwhile(*given: Any, **more: Any) -> Any:
        """Before the first has a study another search begins and ends."""
        if not begun:
            begun.append(True)
            metanas.run(*run, "--sampler", "tpe")
        return prepared(*given, **more)

    monkeypatch.setattr(job, "make_pruner", meanwhile)
    metanas.run(*run, "--sampler", "random", "--seed", "1")
    assert studies(metanas) == ["target-1", "target-2"]


def test_a_new_study_never_has_the_name_of_a_search_that_the_store_has_trials_of(
    metanas: CommandLine, table: Path
) -> None:
    """Of a colleague's, say: its trials would pass for the study's own."""
    imported = [
        replace(each, source=source)
        for source in ("search:target-1", "search:spring")
        for each in source_trials_of(["target"], count=2)
    ]
    with open_store(metanas.url) as store:
        store.add_trials(imported)
    run = ["--budget", "1", "--sampler", "tpe"]
    told = metanas.wrong("search", "target", "--oracle", str(table), *run, "--study", "spring")
    assert "the store has trials of a search 'spring' already" in told
    assert studies(metanas) == []
    assert searched(metanas, table, *run)["study"] == "target-2"
    # With trials of its own it is resumed.
    again = searched(metanas, table, "--budget", "2", "--sampler", "tpe", "--study", "target-2")
    assert len(again["trials"]) == 2  # type: ignore[arg-type]


def test_all_architectures_of_a_small_table_are_found(metanas: CommandLine, table: Path) -> None:
    found = metanas.ok(
        "search", "target", "--oracle", str(table), "--no-mlflow", "--budget", "12",
        "--sampler", "random",
    )  # fmt: skip
    assert len({json.dumps(each["architecture"]) for each in found["trials"]}) == 12


def test_samplers_that_know_nothing_of_other_tasks_start_with_priors(
    metanas: CommandLine, table: Path
) -> None:
    scores = []
    for priors in ("0", "3"):
        found = metanas.ok(
            "search", "target", "--oracle", str(table), "--no-mlflow", "--budget", "3",
            "--sampler", "tpe", "--priors", priors,
        )  # fmt: skip
        scores.append(np.mean([each["score"] for each in found["trials"]]))
    assert scores[1] > scores[0]


@pytest.mark.parametrize(
    "pruner", ["lcranknet", "none", "median", "percentile", "hyperband", "sha", "wilcoxon"]
)
def test_pruners_go_with_strategies(metanas: CommandLine, table: Path, pruner: str) -> None:
    found = metanas.ok(
        "search", "target", "--oracle", str(table), "--no-mlflow", "--budget", "12",
        "--sampler", "evolution", "--pruner", pruner,
    )  # fmt: skip
    states = {each["state"] for each in found["trials"]}
    assert len(found["trials"]) == 12
    assert states == {"completed"} if pruner == "none" else states <= {"completed", "stopped"}
    for each in found["trials"]:
        assert bool(each["reason"]) == (each["state"] == "stopped")
        assert (each["score"] is None) == (each["state"] == "stopped")


def test_with_an_oracle_the_default_pruner_is_none(
    metanas: CommandLine, table: Path, tmp_path: Path
) -> None:
    searched(metanas, table, "--budget", "1", "--study", "s", "--sampler", "random")
    metanas.ok("report", "s", "--out", str(tmp_path / "s.html"))
    assert "<td>pruner</td><td>none</td>" in (tmp_path / "s.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("sampler", "pruner", "learned"),
    [
        ("random", "none", ""),
        ("tpe", "median", "priors"),
        ("random", "lcranknet", "pruner"),
        ("xfernas", "lcranknet", "sampler, pruner"),
    ],
)
def test_neighbours_are_named_by_what_learned_from_them_only(
    metanas: CommandLine, table: Path, tmp_path: Path, sampler: str, pruner: str, learned: str
) -> None:
    run = [
        *("search", "target", "--oracle", str(table), "--no-mlflow", "--budget", "2"),
        *("--sampler", sampler, "--pruner", pruner, "--study", "s"),
    ]
    _, out, _ = metanas.run(*run)
    found = metanas.ok(*run)
    metanas.ok("report", "s", "--out", str(tmp_path / "s.html"))
    report = (tmp_path / "s.html").read_text("utf-8")
    assert [each["task"] for each in found["neighbours"]] == ["one", "two"] * bool(learned)
    assert found["cold_start"] == (not learned)
    if learned:
        assert f"learned from one 50%, two 50% ({learned})" in out
        assert f"What learned from them: {learned}." in report
    else:
        assert "learned from nothing: a cold start" in out
        assert "Nothing was learned from other tasks: a cold start." in report


def test_a_resumed_search_does_not_draw_the_same_again(metanas: CommandLine, table: Path) -> None:
    for budget in ("4", "8"):
        found = metanas.ok(
            "search", "target", "--oracle", str(table), "--no-mlflow", "--budget", budget,
            "--sampler", "tpe", "--priors", "0", "--study", "s",
        )  # fmt: skip
    drawn = [json.dumps(each["architecture"]) for each in found["trials"]]
    assert drawn[:4] != drawn[4:]


WRONG = {
    "unknown sampler 'tpo'; did you mean 'tpe'?": ["--sampler", "tpo"],
    "unknown pruner 'medan'; did you mean 'median'?": ["--pruner", "medan"],
    "unknown pruner 'lcranknt'; did you mean 'lcranknet'?": ["--pruner", "lcranknt"],
    "wanted a whole number of at least 1, got 0": ["--budget", "0"],
    "wanted a whole number of at least 1, got ten": ["--budget", "ten"],
    "wanted a whole number from 0 to 2147483647, got x": ["--seed", "x"],
    "objective needs score": ["--objective", "params"],
    "objective needs score, and": ["--objective", "score,score"],
    "searches for one objective": ["--objective", "score,-params", "--sampler", "evolution"],
    "compares one objective": [
        *("--objective", "score,-params", "--sampler", "tpe", "--pruner", "median"),
    ],
    "got /nowhere/x.parquet": ["--oracle", "/nowhere/x.parquet"],
    "a study's name is made of": ["--study", "a b"],
    "made of letters, digits and . _ : + -, got ''": ["--study", ""],
    "no trials in space 'nasbench201'": ["--space", "nasbench201"],
    "nothing to export": ["--export", "x.onnx"],
    "unknown executor": ["--executor", "slurm"],
    "has no address": ["--workers", "2", "--address", "auto"],
    "'local' has no address, got 'auto'": ["--address", "auto"],
    "no task 'thre'": ["--exclude", "thre"],
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_in_one_line_and_the_store_stays_as_it_was(
    metanas: CommandLine, table: Path, what: str
) -> None:
    before = metanas.ok("store", "info")
    arguments = ["search", "target", "--budget", "2", "--no-mlflow", *WRONG[what]]
    if "--oracle" not in arguments:
        arguments += ["--oracle", str(table)]
    assert what in metanas.wrong(*arguments)
    assert metanas.ok("store", "info") == before


@pytest.mark.parametrize(
    ("option", "told"),
    [("mebers: 3", "did you mean 'members'"), ("members: 0", "members and steps must be")],
)
def test_wrong_options_of_a_strategy_leave_no_study_behind(
    metanas: CommandLine, table: Path, tmp_path: Path, option: str, told: str
) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(f"budget: 2\nsampler: {{name: xfernas, options: {{{option}}}}}\n")
    run = ["search", "target", "--oracle", str(table), "--no-mlflow", "--config", str(file)]
    assert told in metanas.wrong(*run)
    assert studies(metanas) == []


def test_a_study_of_something_else_is_not_resumed(
    metanas: CommandLine, table: Path, tmp_path: Path
) -> None:
    searched(metanas, table, "--budget", "1", "--study", "s", "--sampler", "tpe")
    other = tmp_path / "other.parquet"
    pq.write_table(Trials.of(source_trials_of(["other", "target"])).table, other)
    wrong = ["--budget", "2", "--study", "s", "--sampler", "tpe", "--oracle", str(other)]
    assert "has task target" in metanas.wrong("search", "other", *wrong)
    assert "has recipe" in metanas.wrong("search", "target", *wrong)
    assert "has objectives score" in metanas.wrong(
        "search", "target", *wrong[:-1], str(table), "--objective", "score,-params"
    )


def test_a_task_that_is_unknown_or_has_no_data_cannot_be_trained_on(metanas: CommandLine) -> None:
    assert "no task 'thre'" in metanas.wrong("search", "thre", "--budget", "1")
    assert "no data to train on" in metanas.wrong("search", "one", "--budget", "1")
    assert "need a budget" in metanas.wrong("search", "one")


def test_a_table_without_the_task_is_wrong(metanas: CommandLine, table: Path) -> None:
    told = metanas.wrong("search", "one", "--budget", "1", "--oracle", str(table))
    assert "no trials of task 'one'" in told


@pytest.mark.slow
def test_a_search_trains_prunes_logs_exports_and_reports(
    metanas: CommandLine, tmp_path: Path
) -> None:
    metanas.ok("task", "add", "g", DATA)
    file, report = tmp_path / "best.onnx", tmp_path / "report.html"
    found = metanas.ok(
        "search", "g", "--budget", "4", "--sampler", "random", "--pruner", "sha", *TRAIN,
        "--study", "s", "--export", str(file),
    )  # fmt: skip
    assert len(found["trials"]) == 4
    with open_store(metanas.url) as store:
        trials = list(store.trials(task="g"))
    assert len(trials) == 4
    assert all(each.extras["params"] > 0 for each in trials)
    session = onnxruntime.InferenceSession(file)
    images = np.zeros((2, 1, 8, 8), np.float32)
    assert session.run(None, {session.get_inputs()[0].name: images})[0].shape == (2, 3)
    metanas.ok("report", "s", "--out", str(report))
    text = report.read_text("utf-8")
    assert text.count("<svg") >= 3
    assert "Progress" in text
    assert "a cold start" in text
    two = metanas.ok(
        "search", "g", "--budget", "2", "--sampler", "tpe", "--objective", "score,-latency_s",
        "--no-mlflow", *TRAIN,
    )  # fmt: skip
    assert all(0 < each["objectives"]["-latency_s"] < 10 for each in two["front"])
    # One run for the search, and one each for its trials under it.
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with connected(uri, raising=AssertionError) as client:
        (experiment,) = [e for e in client.search_experiments() if e.name == "metanas"]
        runs = list(client.search_runs([experiment.experiment_id]))
    parent = next(each for each in runs if each.info.run_id == found["mlflow_run"])
    children = [each for each in runs if each is not parent]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["sampler"] == "random"
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parent.info.run_id}
    assert sorted(each.data.tags["metanas.number"] for each in children) == ["0", "1", "2", "3"]
    # Back from MLflow on another machine, nothing is lost.
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    open_store(elsewhere).close()
    back_there = ["--store", elsewhere, "store", "import", "--format", "mlflow", uri]
    assert metanas.ok(*back_there)["added"] == 4
    with open_store(elsewhere) as store:
        back = list(store.trials(task="g"))
    assert sorted(back, key=lambda each: each.architecture.key) == sorted(
        trials, key=lambda each: each.architecture.key
    )
    # What is logged is not logged again.
    assert metanas.ok("store", "push-mlflow") == {"pushed": {"g-1": 2, "s": 0}}


def test_studies_of_others_in_the_storage_are_not_logged(metanas: CommandLine, table: Path) -> None:
    searched(metanas, table, "--budget", "2", "--sampler", "random", "--study", "s")
    with open_storage(metanas.url) as storage:
        optuna.create_study(study_name="mine", storage=storage)
    assert metanas.ok("store", "push-mlflow") == {"pushed": {"s": 2}}
    told = metanas.wrong("store", "push-mlflow", "--study", "mine")
    assert "no study 'mine'; there are s" in told


def test_without_mlflow_a_search_goes_on_and_its_trials_are_logged_later(
    metanas: CommandLine,
    table: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = f"sqlite:///{tmp_path / 'nowhere' / 'file' / 'mlflow.db'}"
    (tmp_path / "nowhere").touch()
    found = metanas.ok(
        "search", "target", "--oracle", str(table), "--budget", "4", "--sampler", "random",
        "--mlflow", away, "--study", "s",
    )  # fmt: skip
    assert len(found["trials"]) == 4
    assert found["mlflow_run"] is None
    assert [each.message for each in caplog.records if "goes on without MLflow" in each.message]
    assert len(caplog.records) == 1
    assert metanas.ok("store", "push-mlflow", "--study", "s") == {"pushed": {"s": 4}}
    assert metanas.ok("store", "push-mlflow", "--study", "s") == {"pushed": {"s": 0}}
    assert "no study 't'" in metanas.wrong("store", "push-mlflow", "--study", "t")


def of_two_objectives(
    metanas: CommandLine, file: Path, sized: Sequence[tuple[Trial, float]]
) -> Any:
    """What a search for high scores and few parameters finds among trials of such sizes."""
    trials = [
        Trial(
            "target", each.architecture, each.curve, each.state, each.seed, each.source,
            extras={"params": params},
        )
        for each, params in sized
    ]  # fmt: skip
    pq.write_table(Trials.of(trials).table, file)
    return metanas.ok(
        "search", "target", "--oracle", str(file), "--no-mlflow", "--budget", "8",
        "--sampler", "nsga2", "--objective", "score,-params",
    )  # fmt: skip


def test_two_objectives_give_a_front(metanas: CommandLine, tmp_path: Path) -> None:
    sized = [(each, float(at)) for at, each in enumerate(source_trials_of(["target"]))]
    found = of_two_objectives(metanas, tmp_path / "two.parquet", sized)
    points = [tuple(each["objectives"].values()) for each in found["front"]]
    assert points
    for score, params in points:
        assert not any(s >= score and p <= params and (s, p) != (score, params) for s, p in points)
    assert max(score for score, _ in points) == pytest.approx(found["best"]["score"])
    tried = {(each["score"], each["objectives"]["-params"]) for each in found["trials"]}
    assert set(points) <= tried


@pytest.mark.parametrize("name", ["parms", "flops", "seconds", "image_mark"])
def test_an_objective_that_no_trial_of_the_oracle_has_is_refused(
    metanas: CommandLine, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "some.parquet"
    extras = {"params": 1.0, "image_mark": 2.0, "recipe_mark": 3.0}
    trials = [replace(each, extras=extras) for each in source_trials_of(["target"])]
    others = [replace(each, extras={"flops": 1.0}) for each in source_trials_of(["other"])]
    pq.write_table(Trials.of([*trials, *others]).table, file)
    before = metanas.ok("store", "info")
    run = ["search", "target", "--oracle", str(file), "--no-mlflow", "--budget", "2"]
    told = metanas.wrong(*run, "--objective", f"score,-{name}")
    assert f"have no {name!r} to search by; they have score, params\n" in told
    assert metanas.ok("store", "info") == before
    assert studies(metanas) == []


def test_that_an_oracle_mixes_sources_is_told(
    metanas: CommandLine, table: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    searched(metanas, table, "--budget", "1", "--sampler", "random")
    assert "sources" not in caplog.text
    trials = source_trials_of(["target"])
    mixed = [replace(each, source=f"lr={at % 4}") for at, each in enumerate(trials)]
    file = tmp_path / "mixed.parquet"
    pq.write_table(Trials.of(mixed).table, file)
    searched(metanas, file, "--budget", "1", "--sampler", "random", "--study", "mixed")
    assert "trials of target come from 4 sources, lr=0, lr=1, lr=2, ...; th" in caplog.text


def studies(metanas: CommandLine) -> list[str]:
    """Names of all studies beside the store."""
    with open_storage(metanas.url) as storage:
        return study_names(storage)


def test_what_trials_cost_is_shown(metanas: CommandLine, tmp_path: Path) -> None:
    sized = [(each, 10_000.0 + at) for at, each in enumerate(source_trials_of(["target"]))]
    study = of_two_objectives(metanas, tmp_path / "two.parquet", sized)["study"]
    status, out, _ = metanas.run("search", "target", "--oracle", str(tmp_path / "two.parquet"),
                                 "--no-mlflow", "--budget", "8", "--sampler", "nsga2",
                                 "--objective", "score,-params", "--study", study)  # fmt: skip
    assert status == 0
    assert "params" in out
    assert "10,0" in out
    page = tmp_path / "report.html"
    metanas.ok("report", study, "--out", str(page))
    told = page.read_text(encoding="utf-8")
    assert "<h2>Objectives</h2>" in told
    assert "<th>params</th>" in told
    assert "10,0" in told
    assert "not beaten in all objectives" in told


def test_one_objective_has_no_picture_of_several(metanas: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "one.parquet"
    pq.write_table(Trials.of(source_trials_of(["target"])).table, file)
    found = metanas.ok("search", "target", "--oracle", str(file), "--no-mlflow", "--budget", "3")
    assert all("objectives" not in each for each in found["trials"])
    page = tmp_path / "report.html"
    metanas.ok("report", found["study"], "--out", str(page))
    assert "Objectives" not in page.read_text(encoding="utf-8")


def test_of_equal_scores_the_best_is_not_beaten_in_the_other_objective(
    metanas: CommandLine, tmp_path: Path
) -> None:
    trials = source_trials_of(["target"])
    level = [(replace(each, curve=trials[0].curve), 1000.0 - at) for at, each in enumerate(trials)]
    found = of_two_objectives(metanas, tmp_path / "level.parquet", level)
    assert [each["architecture"] for each in found["front"]] == [found["best"]["architecture"]]


def test_nothing_found_is_a_failure_that_says_why(metanas: CommandLine, tmp_path: Path) -> None:
    trials = [
        Trial("target", each.architecture, LearningCurve("m", (1,), (float("nan"),)),
              TrialState.FAILED, 0, "t")
        for each in source_trials_of(["target"])
    ]  # fmt: skip
    file = tmp_path / "bad.parquet"
    pq.write_table(Trials.of(trials).table, file)
    status, out, err = metanas.run(
        "search", "target", "--oracle", str(file), "--no-mlflow", "--budget", "2",
        "--sampler", "random", "--json",
    )  # fmt: skip
    assert (status, out) == (1, "")
    assert "no trial ended with a score: diverged in epoch 1" in err


def of_table(values: list[float], task: str = "target") -> list[Trial]:
    """In a space known only by its trials, one architecture a value."""
    return [
        Trial(task, Architecture("myhp", {"depth": f"d{depth}"}),
              LearningCurve("neg_loss", (1,), (value,)), TrialState.COMPLETED, 0, "me")
        for depth, value in enumerate(values)
    ]  # fmt: skip


@pytest.fixture
def losses(tmp_path: Path) -> Path:
    file = tmp_path / "losses.parquet"
    values = [-0.5, 0.0, -0.25, -1.0, -2.0, -3.0]
    pq.write_table(Trials.of(of_table(values)).table, file)
    return file


def test_a_score_of_zero_is_the_best_of_negated_losses(metanas: CommandLine, losses: Path) -> None:
    status, out, _ = metanas.run(
        "search", "target", "--oracle", str(losses), "--no-mlflow", "--budget", "6",
        "--sampler", "random", "--priors", "0", "--study", "s",
    )  # fmt: skip
    assert status == 0
    scores = [line.split()[1] for line in out.splitlines() if "completed  " in line]
    assert scores == ["0", "-0.25", "-0.5", "-1", "-2"]


def test_a_score_of_zero_is_a_score_in_the_demo() -> None:
    (none,) = of_table([0.0])
    score, *_ = facts(replace(none, extras={"params": 1.0}))
    assert score == 0.0


def test_what_the_table_leaves_out_is_told(metanas: CommandLine, losses: Path) -> None:
    run = ["search", "target", "--oracle", str(losses), "--no-mlflow", "--sampler", "random"]
    _, out, _ = metanas.run(*run, "--budget", "5", "--study", "few")
    assert "study few: 5 trials: 5 completed, 0 stopped, 0 failed; 5 epochs;" in out
    assert "reasons" not in out
    _, out, _ = metanas.run(*run, "--budget", "6", "--study", "s")
    assert "the best 5 trials are shown; all, with reasons: metanas report s --out FILE" in out


@pytest.mark.parametrize("width", [80, 400])
def test_architectures_are_printed_without_a_break(width: int) -> None:
    rows = [(number, 0.5, f"{number}:" + 110 * "x" + " y") for number in (7, 12)]
    file = StringIO()
    console = Console(file=file, width=width)
    console.print(shown("", ("trial", "score", "architecture"), rows), crop=False)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    for number, _, architecture in rows:
        (line,) = [line for line in lines if architecture in line]
        assert line.split()[0] == str(number)
        assert ("0.5" in line) == (width == 400)
    assert any("score" in line for line in lines)


def test_a_long_line_is_left_for_the_terminal_to_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    file = StringIO()
    monkeypatch.setattr(file, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    text = "first\n" + 30 * "word " + "last"
    emit(Namespace(json=False, output=file), {}, text)
    assert file.getvalue() == text + "\n"


def test_a_space_without_networks_needs_an_oracle(metanas: CommandLine) -> None:
    metanas.ok("task", "add", "g", DATA)
    with open_store(metanas.url) as store:
        store.add_trials(of_table([-0.5, -0.2], "one"))
    before = metanas.ok("store", "info")
    told = metanas.wrong(
        "search", "g", "--space", "myhp", "--budget", "2", "--study", "s", "--no-mlflow"
    )
    assert "has no networks to train" in told
    assert "--oracle FILE" in told
    assert metanas.ok("store", "info") == before
    assert "no study 's'" in metanas.wrong("store", "push-mlflow", "--study", "s")


def test_options_of_a_training_that_an_oracle_spares_are_named(
    metanas: CommandLine, losses: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = ["search", "target", "--oracle", str(losses), "--no-mlflow", "--sampler", "random"]
    metanas.ok(*run, "--budget", "2", "--epochs", "3", "--batch-size", "8", "--width", "4")
    (told,) = [each.message for each in caplog.records]
    assert "--epochs, --batch-size, --width play no part" in told
    caplog.clear()
    metanas.ok(*run, "--budget", "2")
    assert not caplog.records
