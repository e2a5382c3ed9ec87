import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from metadata_store.batch import Trials
from metadata_store.store import open_store
from metanas.distribute import ray as ray_module
from metanas.distribute.job import Job
from metanas.distribute.ray import RayWorkers
from metanas.search.record import ran, source_of
from metanas.search.storage import open_storage
from metanas.search.study import known_study
from metanas.settings import Named, SearchSettings
from tests.contracts.searches import source_trials_of

# In a process of its own: Ray leaves threads and sockets behind, which are not ours to mend.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
from metanas.cli import main

cluster = Cluster(
    initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
)
cluster.add_node(num_cpus=1)
try:
    status = main([*sys.argv[1:], "--executor", "ray", "--address", cluster.address])
finally:
    cluster.shutdown()
sys.exit(status)
"""


@pytest.mark.slow
def test_a_cluster_of_two_nodes_searches_together(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_store(url) as store:
        store.add_trials(source_trials_of(["one", "two"]))
    table = tmp_path / "trials.parquet"
    pq.write_table(Trials.of(source_trials_of(["target"])).table, table)
    arguments = ["--store", url, "search", "target", "--budget", "60", "--oracle", str(table)]
    more = ["--workers", "2", "--study", "s", "--no-mlflow", "--sampler", "random"]
    shown = subprocess.run(
        [sys.executable, "-c", CLUSTER, *arguments, *more],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert shown.returncode == 0, shown.stderr
    with open_storage(url) as storage, open_store(url) as store:
        study = known_study(storage, "s")
        found = ran(study)
        owners = {each.user_attrs["metanas:owner"] for each in study.trials}
        stored = [each for each in store.trials() if each.source == source_of("s")]
    assert len(found) == len(stored) == 60
    assert len(owners) == 2


@pytest.mark.parametrize(
    ("options", "oracle", "there", "wanted"),
    [
        ({}, (), 0, 0),
        ({}, (), 2, 1),
        ({"device": "auto"}, (), 2, 1),
        ({"device": "cpu"}, (), 2, 0),
        ({"device": "cuda"}, (), 0, 1),
        ({"device": "cuda"}, ("trials.parquet",), 2, 0),
    ],
)
def test_workers_that_may_train_on_a_gpu_ask_for_one(
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    oracle: tuple[str, ...],
    there: int,
    wanted: int,
) -> None:
    asked = []

    class Cluster:
        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 8.0, "GPU": float(there)} if there else {"CPU": 8.0}

        def remote(self, **given: object) -> Callable[[object], Any]:
            asked.append(given["num_gpus"])
            return lambda run: SimpleNamespace(remote=lambda job: None)

    monkeypatch.setattr(ray_module, "connected", lambda address: (Cluster(), False))
    settings = SearchSettings(budget=1, evaluator=Named("scratch", options), oracle=oracle)
    RayWorkers().start(Job(settings, "task", "study", "sqlite:///a.db", None))
    assert asked == [wanted]
