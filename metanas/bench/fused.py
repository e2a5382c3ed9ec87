"""How fast networks train as one, beside one at a time: ``python -m metanas.bench.fused``.

Random cells at the size of the reference trials, on scikit-learn's digits at 16 pixels. Of
every group both are timed in the same run, after an epoch to warm up, and told in trainings
of 20 epochs an hour.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from metadata_store.records import Task
from metanas.evaluators.fused import Fused, FusedRun
from metanas.evaluators.scratch import Scratch
from metanas.evaluators.training import Run
from metanas.spaces.different import different
from metanas.spaces.nasbench201 import NasBench201
from tasks.one_thread import one_thread

TASK = Task("digits", "sklearn", "digits#size=16&val=0.5", 1797, 10, (1, 16, 16), None, {})
EPOCHS = 20
"""Of a reference trial."""


@dataclass(frozen=True)
class Speed:
    """Of one group.

    Attributes:
        networks: how many.
        alone, together: trainings of `EPOCHS` epochs an hour.
    """

    networks: int
    alone: float
    together: float

    @property
    def ratio(self) -> float:
        """How many times as fast together."""
        return self.together / self.alone


def measure(networks: int, *, epochs: int = 3, device: str = "auto", seed: int = 0) -> Speed:
    """Trains a group of random cells both ways, on one thread where it is on the CPU.

    Args:
        epochs: of each, two at least; the first is not counted.
        device: as `Scratch` takes it.
        seed: of the cells drawn and their weights.

    Raises:
        ValueError: too few networks or epochs, more networks than compute differently, a device
            that this machine lacks, or a network that diverged at once.
        OSError: the images cannot be kept.
        torch.OutOfMemoryError: the device has no memory for all at once.
    """
    if networks < 1 or epochs < 2:
        raise ValueError(f"need one network and two epochs, got {networks} and {epochs}")
    space = NasBench201(width=8, cells=1)
    cells = different(space, networks, seed=seed)
    scratch = Scratch(space, epochs=epochs, device=device)
    with one_thread():
        together = _epoch_seconds([Fused(scratch).run(cells, TASK, seed=seed)])
        alone = _epoch_seconds(scratch.run(each, TASK, seed=seed) for each in cells)
    an_hour = 3600.0 * networks / EPOCHS
    return Speed(networks, an_hour / alone, an_hour / together)


def _epoch_seconds(runs: Iterable[Run | FusedRun]) -> float:
    """Of all of them, the mean epoch after the first.

    Raises:
        ValueError: one of them has no second epoch.
    """
    total = 0.0
    for run in runs:
        done = iter(run)
        next(done)
        first = run.seconds
        more = sum(1 for _ in done)
        if not more:
            raise ValueError("a network diverged in its first epoch: nothing to time")
        total += (run.seconds - first) / more
    return total


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line a group."""
    parser = argparse.ArgumentParser(prog="python -m metanas.bench.fused", description=__doc__)
    parser.add_argument("--networks", type=int, nargs="+", default=[4, 16, 64], metavar="N")
    parser.add_argument("--epochs", type=int, default=3, metavar="N")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args(arguments)
    sys.stdout.write(f"{'networks':>8} {'alone / h':>10} {'as one / h':>10} {'times':>6}\n")
    for networks in given.networks:
        try:
            speed = measure(networks, epochs=given.epochs, device=given.device)
        except (ValueError, OSError) as error:
            parser.error(" ".join(str(error).split()))
        except torch.OutOfMemoryError as error:
            line = " ".join(str(error).split())
            parser.error(f"no memory for {networks} networks at once: {line}")
        sys.stdout.write(
            f"{networks:>8} {speed.alone:>10.0f} {speed.together:>10.0f} {speed.ratio:>6.2f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
