import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from metadata_store.batch import Trials
from metadata_store.store import open_store
from metanas.search.record import ran, source_of
from metanas.search.storage import open_storage
from metanas.search.study import known_study
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
    assert len(found) == 60
    # A record that is replayed again is stored once.
    assert {each.architecture for each in stored} == {each.architecture for each in found}
    assert len(owners) == 2
