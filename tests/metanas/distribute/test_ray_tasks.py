import subprocess
import sys

import pytest

# In a process of its own: Ray leaves threads and sockets behind, which are not ours to mend.
PROGRAM = """
import os
import sys
from metanas.distribute.spread import WorkerDied, spread_over

def squared(number):
    if number == 3:
        raise ValueError("three is refused")
    if number == 5:
        os._exit(1)
    return number * number

def told(jobs):
    try:
        return sorted(spread_over("ray", None, 2)(squared, jobs))
    except (ValueError, WorkerDied) as error:
        return f"{type(error).__name__}: {error}"

# Ray prints of dead workers on standard output.
for jobs in ([0, 1, 2, 4], [3], [5]):
    print("told", str(told(jobs))[:32], file=sys.stderr)
"""


@pytest.mark.slow
def test_jobs_run_on_a_cluster_and_their_errors_come_back() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=200
    )
    assert shown.returncode == 0, shown.stderr
    found = [line for line in shown.stderr.splitlines() if line.startswith("told ")]
    *ended, died = found
    assert ended == ["told [0, 1, 4, 16]", "told ValueError: three is refused"]
    assert died.startswith("told WorkerDied: a worker died: ")
