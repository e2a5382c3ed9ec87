import subprocess
import sys
from pathlib import Path

import pytest

from metanas.search import owner
from metanas.search.owner import Owner

SHOW = "from metanas.search.owner import Owner; print(Owner.here().text, flush=True); input()"


def test_this_process_is_alive_and_its_text_reads_back() -> None:
    here = Owner.here()
    assert here.alive() is True
    assert Owner.parse(here.text) == here


def test_another_process_is_alive_until_it_is_killed() -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", SHOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdin is not None
    its = Owner.parse(other.stdout.readline())
    assert its.process == other.pid
    assert its.alive() is True
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    assert its.alive() is False


def test_a_process_with_the_number_of_an_earlier_one_is_not_it() -> None:
    here = Owner.here()
    parent = Owner(here.machine, 1, -1)
    assert parent.alive() is False


def test_nothing_is_known_of_another_machines_processes() -> None:
    assert Owner("elsewhere", 1, 1).alive() is None


def test_where_processes_cannot_be_seen_only_this_one_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner._machine.cache_clear()
    monkeypatch.setattr(owner, "PROC", tmp_path)
    here = Owner.here()
    assert here.alive() is True
    owner._machine.cache_clear()
    assert here.alive() is None
    owner._machine.cache_clear()
