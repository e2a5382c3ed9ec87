from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_store.records import INT64_MAX, Architecture, LearningCurve, Trial, TrialState
from metanas.importers import Importer
from metanas.importers.mlflow import _choice, as_key, fields_of, read_mlflow, tags_of
from metanas.importers.mlflow_client import QUIET, connected
from metanas.tracking import MlflowSink
from tests.contracts.importer import ImporterContract, assert_refused, read
from tests.contracts.mlflow_database import copy_to

FOREIGN = "metric=val_acc&task=digits&space=mine"


def trial(seed: int) -> Trial:
    return Trial(
        task="digits",
        architecture=Architecture("s", {"lr": 0.1}),
        curve=LearningCurve("val_accuracy", (1, 2), (0.25, 0.5)),
        state=TrialState.COMPLETED,
        seed=seed,
        source="x",
        seconds=1.0,
    )


def log_foreign(
    uri: str, status: str = "FINISHED", params: dict[str, Any] | None = None, first: int = 0
) -> str:
    """A run as any other program would log it."""
    with connected(uri, raising=AssertionError) as client:
        run: str = client.create_run("0").info.run_id
        for name, value in (params or {"lr": 0.1, "depth": 3, "bn": True, "act": "relu"}).items():
            client.log_param(run, name, value)
        for step, value in enumerate((0.1, 0.4, 0.3), start=first):
            client.log_metric(run, "val_acc", value, step=step)
        client.log_metric(run, "val_acc", 0.45, step=first + 1)  # logged again, the last counts
        client.log_metric(run, "test_score", 0.33)
        if status != "RUNNING":
            client.set_terminated(run, status)
    return run


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return copy_to(tmp_path)


class TestMlflow(ImporterContract):
    @pytest.fixture
    def importer(self) -> Importer:
        return read_mlflow

    @pytest.fixture
    def location(self, uri: str) -> str:
        sink = MlflowSink(uri, "mine")
        for seed in range(2):
            sink(trial(seed))
        return f"{uri}#mine"

    @pytest.fixture
    def other_layout(self, optuna_like: bytes) -> bytes:
        return optuna_like

    @pytest.fixture
    def optuna_like(self, tmp_path_factory: pytest.TempPathFactory) -> bytes:
        import sqlite3

        path = tmp_path_factory.mktemp("other") / "other.db"
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE studies (number INTEGER)")
        database.close()
        return path.read_bytes()

    def test_a_path_will_do_for_a_database(self, location: str) -> None:
        assert list(read(read_mlflow, location.removeprefix("sqlite:///"))) == [trial(0), trial(1)]

    def test_without_an_experiment_all_are_read(self, location: str, uri: str) -> None:
        MlflowSink(uri, "other")(trial(2))
        assert {each.seed for each in read(read_mlflow, uri)} == {0, 1, 2}
        assert {each.seed for each in read(read_mlflow, f"{uri}#experiment=other")} == {2}

    def test_an_unknown_experiment_is_an_error_that_names_those_there(
        self, location: str, uri: str
    ) -> None:
        assert_refused(read_mlflow, f"{uri}#theirs", "'theirs'", "mine")

    def test_runs_under_way_are_left(self, location: str, uri: str) -> None:
        log_foreign(uri, status="RUNNING")
        assert len(read(read_mlflow, f"{uri}#{FOREIGN}")) == 2

    def test_pages_are_read_to_the_last(
        self, location: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("metanas.importers.mlflow.PAGE", 1)
        assert list(read(read_mlflow, location)) == [trial(0), trial(1)]

    def test_a_damaged_tag_is_an_error_that_names_the_run(self, uri: str) -> None:
        run = MlflowSink(uri)(trial(0))
        with connected(uri, raising=AssertionError) as client:
            client.set_tag(run, "metanas.trial", '{"task": "digits"')
        assert_refused(read_mlflow, uri, run, "no trial")


class TestRunsOfOthers:
    def test_they_are_read_as_the_options_say(self, uri: str) -> None:
        run = log_foreign(uri)
        (trial,) = read(read_mlflow, f"{uri}#{FOREIGN}")
        assert (trial.task, trial.architecture.space) == ("digits", "mine")
        assert trial.architecture.choices == {"lr": 0.1, "depth": 3, "bn": True, "act": "relu"}
        assert trial.curve == LearningCurve("val_acc", (1, 2, 3), (0.1, 0.45, 0.3))
        assert (trial.state, trial.source) == (TrialState.COMPLETED, f"mlflow:{run}")
        assert trial.extras == {"test_score": 0.33}
        assert trial.seconds >= 0

    def test_steps_that_count_from_one_are_epochs_already(self, uri: str) -> None:
        log_foreign(uri, first=1)
        (trial,) = read(read_mlflow, f"{uri}#{FOREIGN}")
        assert trial.curve.epochs == (1, 2, 3)

    def test_values_logged_without_a_step_are_numbered_as_they_came(self, uri: str) -> None:
        with connected(uri, raising=AssertionError) as client:
            run = client.create_run("0").info.run_id
            client.log_param(run, "lr", 0.1)
            for timestamp, value in ((30, 0.3), (10, 0.1), (20, 0.45)):
                client.log_metric(run, "val_acc", value, timestamp=timestamp)
            client.set_terminated(run)
        (trial,) = read(read_mlflow, f"{uri}#{FOREIGN}")
        assert trial.curve == LearningCurve("val_acc", (1, 2, 3), (0.1, 0.45, 0.3))

    def test_one_value_alone_stays_at_its_step(self, uri: str) -> None:
        with connected(uri, raising=AssertionError) as client:
            run = client.create_run("0").info.run_id
            client.log_param(run, "lr", 0.1)
            client.log_metric(run, "val_acc", 0.5, step=20)
            client.set_terminated(run)
        (trial,) = read(read_mlflow, f"{uri}#{FOREIGN}")
        assert trial.curve == LearningCurve("val_acc", (20,), (0.5,))

    def test_a_minimised_metric_is_negated_and_renamed(self, uri: str) -> None:
        log_foreign(uri)
        (trial,) = read(read_mlflow, f"{uri}#{FOREIGN}&direction=minimize")
        assert trial.curve == LearningCurve("negative_val_acc", (1, 2, 3), (-0.1, -0.45, -0.3))

    def test_a_parameter_may_be_the_seed(self, uri: str) -> None:
        log_foreign(uri, params={"lr": 0.1, "random_state": 42})
        (trial,) = read(read_mlflow, f"{uri}#{FOREIGN}&seed=random_state")
        assert trial.seed == 42
        assert trial.architecture.choices == {"lr": 0.1}

    @pytest.mark.parametrize(("status", "state"), [("FAILED", "failed"), ("KILLED", "stopped")])
    def test_their_status_is_the_state(self, uri: str, status: str, state: str) -> None:
        log_foreign(uri, status=status)
        (trial,) = read(read_mlflow, f"{uri}#{FOREIGN}")
        assert trial.state == state

    def test_without_options_the_error_says_which(self, uri: str) -> None:
        log_foreign(uri)
        assert_refused(read_mlflow, uri, "1 runs", "metric=...&task=...&space=...")

    @pytest.mark.parametrize(
        "options", ["metric=val_acc", "task=a&space=b", "seed=x", f"{FOREIGN}&direction=up"]
    )
    def test_incomplete_or_unknown_options_are_refused(self, uri: str, options: str) -> None:
        assert_refused(read_mlflow, f"{uri}#{options}", "want")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
names = texts.filter(bool)
choices = st.dictionaries(
    texts,
    texts
    | st.integers(-INT64_MAX, INT64_MAX)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    max_size=4,
)


@settings(deadline=None)
@given(
    task=names,
    space=names,
    metric=texts,
    choices=choices,
    extras=st.dictionaries(texts, st.floats() | st.integers(-INT64_MAX, INT64_MAX), max_size=3),
    seconds=st.floats(0) | st.just(float("nan")),
    length=st.integers(0, 9000),
)
def test_tags_hold_all_of_a_trial_but_its_curve(
    task: str,
    space: str,
    metric: str,
    choices: dict[str, Any],
    extras: dict[str, float],
    seconds: float,
    length: int,
) -> None:
    trial = Trial(
        task=task,
        architecture=Architecture(space, {**choices, "long": "x" * length}),
        curve=LearningCurve(metric, (), ()),
        state=TrialState.FAILED,
        seed=3,
        source="s",
        seconds=seconds,
        extras=extras,
    )
    tags = tags_of(trial)
    assert max(map(len, tags.values())) <= 4000
    fields = fields_of(tags)
    again = Trial(
        task=fields["task"],
        architecture=Architecture(fields["space"], fields["choices"]),
        curve=LearningCurve(fields["metric"], (), ()),
        state=TrialState(fields["state"]),
        seed=fields["seed"],
        source=fields["source"],
        seconds=fields["seconds"],
        extras=fields["extras"],
    )
    assert again == trial


@given(name=texts)
def test_any_name_makes_a_key_that_mlflow_allows(name: str) -> None:
    validation = pytest.importorskip("mlflow.utils.validation")
    validation._validate_metric_name(as_key(name))
    validation._validate_param(as_key(name), "1")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("7", 7),
        ("-3", -3),
        ("1e-3", 0.001),
        ("True", True),
        ("adam", "adam"),
        ("2023_01", "2023_01"),
        ("1_0.5", "1_0.5"),
        ("inf", "inf"),
        ("9" * 30, "9" * 30),
    ],
)
def test_a_parameter_is_a_number_only_where_it_was_one(text: str, choice: object) -> None:
    assert _choice(text) == choice
    assert type(_choice(text)) is type(choice)


def test_single_tries_to_reach_a_server_are_not_told() -> None:
    tries = logging.getLogger("urllib3.connectionpool")
    before = tries.level
    with QUIET:
        assert not tries.isEnabledFor(logging.WARNING)
    assert tries.level == before
