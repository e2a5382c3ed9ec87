import os
import signal
import subprocess
import sys

import pytest

from metanas.distribute.drive import executor, threads_for
from metanas.distribute.local import asked_to_stop
from metanas.settings import SettingsError


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with asked_to_stop() as asked:
        assert not asked.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("variable", "workers", "threads"), [("", 2, 4), ("1", 2, 1), ("8", 2, 4), ("", 100, 1)]
)
def test_threads_are_shared_out_and_never_more_than_the_user_allows(
    monkeypatch: pytest.MonkeyPatch, variable: str, workers: int, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert threads_for(workers) == threads


def test_where_to_run_is_a_known_name_and_its_address_its_own() -> None:
    with pytest.raises(SettingsError, match="unknown executor 'rai'; did you mean 'ray'"):
        executor("rai", None)
    with pytest.raises(SettingsError, match="has no address"):
        executor("local", "auto")


def test_without_ray_only_a_cluster_is_out_of_reach() -> None:
    code = (
        "import sys; sys.modules['ray'] = None;"
        "from metanas.distribute.drive import executor; executor('local', None);"
        "executor('ray', None)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ModuleNotFoundError: workers on a cluster need Ray: pip install" in shown.stderr
