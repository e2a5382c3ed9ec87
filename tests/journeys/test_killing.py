"""Searches and builds whose workers, leader and connections are killed: nothing is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from metadata_store.records import TrialState
from metadata_store.store import open_store
from metanas.search.record import ran, source_of
from metanas.search.storage import open_storage
from tests.contracts.searches import EPOCHS, study_in

BUDGET = 24

WORKER = """
import sys, time
from metadata_store.store import open_store
from metanas.search.storage import open_storage
from metanas.search.worker import work
from tests.contracts.searches import Fake, measure_with, share, study_in, value_of

url, budget, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

class Slow(Fake):
    def curve(self):
        for point in super().curve():
            time.sleep(0.02)
            yield point

def begin(architecture, seed):
    value = value_of(architecture)
    return Slow([value - 0.2, value - 0.1, value])

import optuna
sampler = optuna.samplers.RandomSampler(seed=seed)
with open_store(url) as store, open_storage(url) as storage:
    print("begins", flush=True)
    work(study_in(storage, sampler=sampler), share(store, measure_with(begin), budget=budget))
print("done", flush=True)
"""


class Crowd:
    """Worker processes on one study."""

    def __init__(self, url: str, budget: int = BUDGET) -> None:
        self._url = url
        self._budget = budget
        self._begun = 0
        self.running: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        self._begun += 1
        arguments = [self._url, str(self._budget), str(self._begun)]
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        self.running.append(process)

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()
        self.running.remove(process)

    def finish(self) -> None:
        for process in self.running:
            out, err = process.communicate(timeout=120)
            assert (process.returncode, out) == (0, "done\n"), err
        self.running = []


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(made).close()
    with open_storage(made) as storage:
        study_in(storage)
    return made


@pytest.fixture
def crowd(url: str) -> Iterator[Crowd]:
    made = Crowd(url)
    yield made
    for process in list(made.running):
        made.kill(process)


def whole(url: str, study: str, budget: int, epochs: int) -> None:
    """Every trial of the budget once, in the study and in the store."""
    with open_storage(url) as storage, open_store(url) as store:
        opened = optuna.load_study(study_name=study, storage=storage)
        found = ran(opened)
        unfinished = [each for each in opened.trials if not each.state.is_finished()]
        stored = [each for each in store.trials() if each.source == source_of(study)]
    assert len(found) == len(stored) == budget
    assert {(each.architecture, each.seed) for each in found} == {
        (each.architecture, each.seed) for each in stored
    }
    assert {each.state for each in stored} == {TrialState.COMPLETED}
    assert {len(each.curve) for each in stored} == {epochs}
    assert unfinished == []


@pytest.mark.slow
def test_workers_killed_at_any_moment_lose_nothing_and_count_nothing_twice(
    url: str, crowd: Crowd
) -> None:
    rng = random.Random(0)
    for _ in range(6):
        while len(crowd.running) < 2:
            crowd.start()
        time.sleep(rng.uniform(0.0, 0.4))
        crowd.kill(rng.choice(crowd.running))
    crowd.start()
    crowd.finish()
    whole(url, "one", BUDGET, EPOCHS)


@pytest.mark.slow
def test_broken_connections_to_the_database_are_mended(postgresql_url: str) -> None:
    import psycopg

    open_store(postgresql_url).close()
    with open_storage(postgresql_url) as storage:
        study_in(storage)
    crowd = Crowd(postgresql_url, budget=8)
    crowd.start()
    crowd.start()
    cut = 0
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        while cut < 12 and any(process.poll() is None for process in crowd.running):
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            ).fetchall()
            cut += len(rows)
            time.sleep(0.3)
    crowd.finish()
    assert cut > 4
    whole(postgresql_url, "one", 8, EPOCHS)


PROGRAM = "import sys; from metanas.cli import main; sys.exit(main())"
TASK = "synthetic:gratings#n=120&ways=3&size=8&seed=9"
SEARCH = [
    "--pruner",
    "none",
    "--budget",
    "8",
    "--sampler",
    "tpe",
    "--epochs",
    "8",
    "--width",
    "4",
    "--study",
    "s",
]


@pytest.fixture
def metanas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-c", PROGRAM, "--store", f"sqlite:///{tmp_path / 's.db'}"]
    added = subprocess.run([*command, "task", "add", "g", TASK], capture_output=True, text=True)
    assert added.returncode == 0, added.stderr
    return command


def started(command: list[str], *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, "search", "g", *SEARCH, "--no-mlflow", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def trained(folder: Path, least: int, process: subprocess.Popen[str]) -> None:
    """Waits until so many trainings have begun."""
    give_up = time.monotonic() + 120
    while len(list((folder / "cache" / "checkpoints").glob("*.pt"))) < least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.05)


def children(process: subprocess.Popen[str]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [
        int(pid) for pid in text.split() if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    ]


def gone(workers: list[int]) -> None:
    """Waits until they have ended."""
    give_up = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < give_up, "workers outlive their leader"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_search_goes_on_where_its_killed_driver_and_worker_left_it(
    metanas: list[str], tmp_path: Path
) -> None:
    first = started(metanas, "--workers", "2")
    trained(tmp_path, 1, first)
    (one, *others) = children(first)
    os.kill(one, signal.SIGKILL)
    trained(tmp_path, 3, first)
    workers = children(first)
    first.kill()
    first.communicate()
    gone(workers + others)
    begun = len(list((tmp_path / "cache" / "checkpoints").glob("*.pt")))
    second = started(metanas)
    trained(tmp_path, begun + 1, second)
    second.send_signal(signal.SIGINT)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 130, err
    assert "interrupted" in err
    third = started(metanas)
    out, err = third.communicate(timeout=120)
    assert third.returncode == 0, err
    assert "8 trials" in out
    whole(f"sqlite:///{tmp_path / 's.db'}", "s", 8, 8)


BUILD = """
source: killed
architectures: 2
space: {name: nasbench201, options: {width: 4, cells: 1}}
evaluator: {name: scratch, options: {epochs: 12, batch_size: 16, device: cpu}}
tasks:
  - {name: one, data: "synthetic:gratings#n=60&ways=3&size=8"}
  - {name: two, data: "synthetic:blobs#n=60&ways=3&size=8"}
"""


@pytest.mark.slow
def test_a_build_goes_on_where_its_killed_leader_left_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    url, config = f"sqlite:///{tmp_path / 's.db'}", tmp_path / "build.yaml"
    config.write_text(BUILD)
    command = [sys.executable, "-c", PROGRAM, "--store", url, "experience", "build"]
    command += ["--config", str(config)]
    first = subprocess.Popen(
        [*command, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    trained(tmp_path, 1, first)
    workers = children(first)
    first.kill()
    first.communicate()
    gone(workers)
    checkpoints = tmp_path / "cache" / "checkpoints"
    assert list(checkpoints.glob("*.pt"))
    with open_store(url) as store:
        assert len(list(store.trials())) < 4
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    with open_store(url) as store:
        trials = list(store.trials())
    architectures = {trial.architecture for trial in trials}
    assert len(architectures) == 2
    assert sorted((each.task, each.architecture.key, each.seed) for each in trials) == sorted(
        (task, each.key, 0) for task in ("one", "two") for each in architectures
    )
    assert {trial.source for trial in trials} == {"killed"}
    assert {trial.curve.epochs for trial in trials} == {tuple(range(1, 13))}
    assert not list(checkpoints.glob("*.pt"))
