from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import pickle
import platform
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow as pa
import pytest

from metadata_store.filters import screen
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas import __version__
from metanas.importers.mlflow import read_mlflow
from metanas.importers.mlflow_client import ENVIRONMENT, connected
from metanas.tracking import OPENED_TAG, MlflowSink, RunGone, TrackingError, default_uri
from tests.contracts.mlflow_database import copy_to, template


def trial(seed: int = 0, state: TrialState = TrialState.COMPLETED, epochs: int = 3) -> Trial:
    return Trial(
        task="digits",
        architecture=Architecture("nasbench201", {"op_0_1": "none", "lr": 0.1}),
        curve=LearningCurve(
            "val_accuracy",
            tuple(range(1, epochs + 1)),
            tuple(0.5 + epoch / 10_000 for epoch in range(epochs)),
        ),
        state=state,
        seed=seed,
        source="search:one",
        seconds=12.5,
        extras={"params": 1234, "test_score": 0.75},
    )


STRANGE = [
    trial(seed=0),
    trial(seed=1, state=TrialState.STOPPED),
    trial(seed=2, state=TrialState.FAILED, epochs=0),
    trial(seed=3, epochs=2500),
    Trial(
        task="a task/with ~ é 数 and\nlines",
        architecture=Architecture(
            "s p/a~ce",
            {"b": True, "i": 1, "f": 1e-300, "text": "x" * 9000, "": "", ".": "é", "a/b": 0.1},
        ),
        curve=LearningCurve("/loss@1 %", (1, 7, 2**31 - 1), (math.nan, -3.4e38, 1e-45)),
        state=TrialState.FAILED,
        seed=-(2**31),
        source="x:y",
        seconds=math.nan,
        extras={"nan": math.nan, "inf": math.inf, "int": 2**60, "a~b": 0.1, "a b": 0.2, "..": 1},
    ),
    Trial(
        task="wide",
        architecture=Architecture("wide", {f"choice_{number}": number for number in range(250)}),
        curve=LearningCurve("m", (3,), (math.nan,)),
        state=TrialState.COMPLETED,
        seed=2**31 - 1,
        source="s",
        seconds=0.0,
    ),
]


@pytest.fixture
def sink(tmp_path: Path) -> MlflowSink:
    return MlflowSink(copy_to(tmp_path), "tests")


def logged(sink: MlflowSink) -> list[Trial]:
    trials, rejected = screen(pa.concat_tables(read_mlflow(sink.uri)), {})
    assert rejected == {}
    return sorted(trials, key=lambda each: each.seed)


def test_a_logged_trial_comes_back_exactly(sink: MlflowSink) -> None:
    for each in STRANGE:
        sink(each)
    assert logged(sink) == sorted(STRANGE, key=lambda each: each.seed)


def test_a_run_shows_choices_curve_extras_state_and_environment(sink: MlflowSink) -> None:
    run_id = sink.log(trial(seed=7, state=TrialState.STOPPED))
    with connected(sink.uri, raising=AssertionError) as client:
        run = client.get_run(run_id)
        curve = client.get_metric_history(run_id, "val_accuracy")
    assert run.data.params == {"op_0_1": "none", "lr": "0.1"}
    assert [(point.step, round(point.value, 4)) for point in curve] == [
        (1, 0.5),
        (2, 0.5001),
        (3, 0.5002),
    ]
    assert run.data.metrics["extras/test_score"] == 0.75
    assert run.data.metrics["extras/seconds"] == 12.5
    assert run.info.status == "KILLED"
    assert run.info.end_time - run.info.start_time == 12_500
    tags = run.data.tags
    assert (tags["metanas.task"], tags["metanas.space"]) == ("digits", "nasbench201")
    assert (tags["metanas.seed"], tags["metanas.state"]) == ("7", "stopped")
    assert tags["metanas.source"] == "search:one"
    assert tags["metanas.architecture"] == trial().architecture.key
    assert tags["environment.python"] == platform.python_version()
    assert tags["environment.metanas"] == __version__
    assert "mlflow.parentRunId" not in tags


def test_an_artifact_is_kept_beside_the_database(sink: MlflowSink, tmp_path: Path) -> None:
    model = tmp_path / "model.pt2"
    model.write_bytes(b"weights")
    sink.log(trial(), artifacts=[model])
    (kept,) = (tmp_path / "mlflow-artifacts").rglob("model.pt2")
    assert kept.read_bytes() == b"weights"


def test_an_artifact_that_is_no_file_is_an_error_and_nothing_is_logged(sink: MlflowSink) -> None:
    with pytest.raises(ValueError, match=r"need a file .* missing\.pt2"):
        sink.log(trial(), artifacts=["missing.pt2"])
    with pytest.raises(ValueError, match="want finished runs, got none"):
        list(read_mlflow(sink.uri))


def test_a_search_is_a_run_with_its_trials_under_it(sink: MlflowSink) -> None:
    search = sink.start("search one", {"budget": 3, "sampler": "xfernas"})
    runs = [search.log(trial(seed=seed)) for seed in range(3)]
    search.finish()
    assert search.parent is not None
    with connected(sink.uri, raising=AssertionError) as client:
        parent = client.get_run(search.parent)
        children = [client.get_run(run).data.tags["mlflow.parentRunId"] for run in runs]
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"budget": "3", "sampler": "xfernas"}
    assert children == [search.parent] * 3
    assert logged(sink) == [trial(seed=seed) for seed in range(3)]


def test_only_a_search_that_was_started_can_be_finished(sink: MlflowSink) -> None:
    with pytest.raises(ValueError, match="got one without a parent run"):
        sink.finish()


def test_logging_leaves_nothing_behind_in_the_process(
    sink: MlflowSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment, filters = dict(os.environ), list(warnings.filters)
    level = logging.getLogger("mlflow").level
    sink(trial())
    import mlflow

    assert mlflow.active_run() is None
    assert dict(os.environ) == environment
    assert list(warnings.filters) == filters
    assert logging.getLogger("mlflow").level == level
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db"]


def test_what_the_user_has_set_stays(sink: MlflowSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    with connected(sink.uri, raising=AssertionError):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert not set(os.environ) & (set(ENVIRONMENT) - {"MLFLOW_HTTP_REQUEST_TIMEOUT"})


def test_nothing_but_the_server_is_called(
    sink: MlflowSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError(f"wanted to connect to {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    sink(trial())
    assert logged(sink) == [trial()]


def test_threads_may_log_at_once(sink: MlflowSink) -> None:
    threads = [
        threading.Thread(target=log_some, args=(sink, range(first, first + 3)))
        for first in (0, 10, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seeds = [each.seed for each in logged(sink)]
    assert seeds == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert not set(os.environ) & set(ENVIRONMENT)


def test_a_database_others_write_to_is_waited_for(sink: MlflowSink) -> None:
    sink(trial())
    with connected(sink.uri, raising=TrackingError) as client:
        engine = client._tracking_client.store.engine
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_processes_forked_from_one_that_logged_may_log_at_once(sink: MlflowSink) -> None:
    sink(trial(seed=99))
    fork = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests' threads
        processes = [
            fork.Process(target=log_some, args=(sink, range(first, first + 3))) for first in (0, 10)
        ]
        for process in processes:
            process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert [each.seed for each in logged(sink)] == [0, 1, 2, 10, 11, 12, 99]


def log_some(sink: MlflowSink, seeds: range) -> None:
    for seed in seeds:
        sink(trial(seed=seed))


def test_a_sink_can_be_sent_to_another_process(sink: MlflowSink) -> None:
    assert pickle.loads(pickle.dumps(sink)) == sink


def test_the_uri_is_the_environments_or_a_database_in_the_users_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert MlflowSink().uri == "http://tracking:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_uri().startswith("sqlite:///")
    assert default_uri().endswith("mlflow.db")
    assert "metanas" in default_uri()


class Broken(BaseHTTPRequestHandler):
    """A server that is there and answers nonsense."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()
        self.wfile.write(json.dumps({"error_code": "INTERNAL_ERROR"}).encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def broken_server() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_answers_nonsense_is_a_tracking_error_soon(broken_server: str) -> None:
    begun = time.monotonic()
    with pytest.raises(TrackingError, match=r"^MLflow at http://127"):
        MlflowSink(broken_server)(trial())
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9",
        "postgresql://ann:s3cret@127.0.0.1:9/mlflow",
        "http://ann:x@s3cret@127.0.0.1:9",
        "what://ann:x@s3cret@127.0.0.1:9/mlflow",
        "sqlite:////proc/nowhere/mlflow.db",
        "nowhere",
        "",
    ],
)
def test_out_of_reach_is_a_tracking_error_of_one_line_soon(uri: str) -> None:
    begun = time.monotonic()
    with pytest.raises(TrackingError, match=r"^MLflow at ") as caught:
        MlflowSink(uri)(trial())
    assert time.monotonic() - begun < 10
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value, OSError)


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "store.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE trials (number INTEGER)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(TrackingError, match="without the table experiments"):
        MlflowSink(f"sqlite:///{path}")(trial())
    assert path.read_bytes() == before


def test_a_database_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new"
    path = folder / "mlflow.db"
    copy = template().read_bytes()
    seen = []

    def link(partial: Path, whole: Path) -> None:
        seen.append((partial.exists(), whole.exists()))
        whole.write_bytes(copy)  # another process was faster
        raise FileExistsError

    class Maker:
        def __init__(self, uri: str) -> None:
            Path(uri.removeprefix("sqlite:///").partition("?")[0]).write_bytes(copy)

        def search_experiments(self, max_results: int) -> None:
            pass

    import mlflow

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", Maker)
        patch.setattr(os, "link", link)
        with connected(f"sqlite:///{path}", raising=OSError, create=True):
            pass
    assert seen == [(True, False)]
    assert [found.name for found in folder.iterdir()] == ["mlflow.db"]
    sink = MlflowSink(f"sqlite:///{path}")
    sink(trial())
    assert logged(sink) == [trial()]


def cut_off(search: MlflowSink, seed: int, *, minutes: float) -> str:
    """The run of a trial that is still open since some minutes."""
    with connected(search.uri, raising=AssertionError) as client:
        run = client.get_run(search.log(trial(seed=seed)))
        opened = int(time.time() * 1000 - minutes * 60_000)
        tags = {**run.data.tags, OPENED_TAG: str(opened)}
        client.delete_run(run.info.run_id)
        # The training was long, so the run seems to have begun before.
        made = client.create_run(run.info.experiment_id, opened - 10**8, tags)
    return str(made.info.run_id)


def stage(sink: MlflowSink, run: str) -> str:
    with connected(sink.uri, raising=AssertionError) as client:
        return str(client.get_run(run).info.lifecycle_stage)


def test_what_was_logged_is_known_and_what_was_cut_off_is_swept_away(sink: MlflowSink) -> None:
    whole = [trial(seed=seed) for seed in range(3)]
    search, other = sink.start("one", {}), sink.start("one", {})
    for each in whole:
        search.log(each, tags={"metanas.reason": "x" * 9000})
    cut, fresh = cut_off(search, 7, minutes=20), cut_off(search, 8, minutes=1)
    foreign = cut_off(other, 9, minutes=20)
    ended = {each.identity: True for each in whole}
    assert search.logged(whole[1]) == {whole[1].identity: True}
    assert search.logged() == ended | {trial(seed=8).identity: False}
    assert [stage(sink, run) for run in (cut, fresh, foreign)] == ["deleted", "active", "active"]
    assert search.logged(trial(seed=7)) == {}
    assert other.logged() == {}
    assert logged(sink) == whole
    with pytest.raises(ValueError, match="without a parent run"):
        sink.logged()


def test_a_searchs_run_can_be_opened_again(sink: MlflowSink) -> None:
    first = sink.start("search", {"budget": 3})
    first.log(trial(seed=0))
    first.finish()
    again = sink.under(str(first.parent))
    again.log(trial(seed=1))
    again.finish()
    with connected(sink.uri, raising=AssertionError) as client:
        run = client.get_run(str(first.parent))
        (experiment,) = [e for e in client.search_experiments() if e.name == "tests"]
        runs = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert len(runs) == 3
    with connected(sink.uri, raising=AssertionError) as client:
        client.delete_run(str(first.parent))
    for gone in ("nosuchrun", str(first.parent)):
        with pytest.raises(RunGone, match=f"MLflow has no run {gone}"):
            sink.under(gone)


def test_a_searchs_run_is_discarded_with_its_trials_and_no_others(sink: MlflowSink) -> None:
    search, other = sink.start("one", {}), sink.start("one", {})
    runs = [search.log(trial(seed=0)), str(search.parent)]
    kept = other.log(trial(seed=1))
    for _ in range(2):  # another process may have done it before
        search.discard()
        assert [stage(sink, run) for run in runs] == ["deleted", "deleted"]
    assert [stage(sink, run) for run in (kept, str(other.parent))] == ["active", "active"]
    with pytest.raises(ValueError, match="without a parent run"):
        sink.discard()
