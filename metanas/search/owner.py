"""Which process runs a trial, and whether that process is still there.

On the same machine the answer is exact and immediate: a process is known by its number
and the moment it began, a machine by its boot and the numbering of its processes. Of
processes elsewhere only a sign of life is known, see `metanas.search.watch`.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        machine: changes with every boot, and differs between containers.
        process: its number there.
        began: in clock ticks since the boot.
    """

    machine: str
    process: int
    began: int

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        return cls(_machine(), os.getpid(), _began(os.getpid()) or 0)

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The inverse of `text`."""
        return cls(**json.loads(text))

    @property
    def text(self) -> str:
        """For an attribute of a trial."""
        return json.dumps(asdict(self))

    def alive(self) -> bool | None:
        """Whether the process is there; None where it cannot be seen from here."""
        if self.machine != _machine():
            return None
        return self.process == os.getpid() or _began(self.process) == self.began


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        # Nothing to compare by: every other process counts as one of another machine.
        return uuid.uuid4().hex


def _began(process: int) -> int | None:
    """None where there is no such process, or it has ended and nobody has asked for its status."""
    try:
        # The name, in brackets, may hold anything; what follows is fixed.
        fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
