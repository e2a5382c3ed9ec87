"""Workers as tasks of a Ray cluster; the one module that imports Ray.

Every node must reach the store: PostgreSQL, or SQLite on a disk they share.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import Any, TypeVar

from metanas.distribute.job import Job, run

Order = TypeVar("Order")
Result = TypeVar("Result")


def connected(address: str | None) -> tuple[Any, bool]:
    """The module Ray, connected, and whether that was done here and is to be undone.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no cluster at that address.
    """
    try:
        import ray
    except ImportError as error:
        raise ModuleNotFoundError(
            "workers on a cluster need Ray: pip install 'metanas[distributed]'"
        ) from error
    own = not ray.is_initialized()
    if own:
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    return ray, own


class RayWorkers:
    """Implements `metanas.distribute.drive.Workers`.

    Args:
        address: of the cluster, e.g. ``auto`` or ``ray://host:10001``; None starts one on
            this machine.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no cluster at that address.
    """

    def __init__(self, address: str | None = None) -> None:
        self._ray, self._own = connected(address)
        self._running: list[tuple[Job, Any]] = []

    def start(self, job: Job) -> None:
        # A task that dies is started anew by the driver, which knows whether it did anything.
        remote = self._ray.remote(max_retries=0, num_cpus=job.threads or 1)(run)
        self._running.append((job, remote.remote(job)))

    def ended(self) -> list[tuple[Job, str | None]]:
        references = [reference for _, reference in self._running]
        done, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        ended = [(job, self._why(each)) for job, each in self._running if each in done]
        self._running = [(job, each) for job, each in self._running if each not in done]
        return ended

    def count(self) -> int:
        return len(self._running)

    def stop(self) -> None:
        """Workers read in the study that they are to end."""

    def kill(self) -> None:
        for _, reference in self._running:
            self._ray.cancel(reference, force=True)

    def close(self) -> None:
        self.kill()
        if self._own:
            self._ray.shutdown()

    def _why(self, reference: Any) -> str | None:
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return " ".join(str(error).split())[-300:]
        return None


class RayTasks:
    """Implements `metanas.distribute.spread.Spread` with tasks of one processor each; good once.

    Args:
        address: as for `RayWorkers`.
        workers: tasks at once, at most.
        gpus: that each task needs; Ray hides the others from it.
        died: raised where a task's process is gone.

    Raises:
        ModuleNotFoundError, ConnectionError: see `connected`.
    """

    def __init__(
        self, address: str | None, workers: int, *, gpus: float, died: type[RuntimeError]
    ) -> None:
        self._ray, self._own = connected(address)
        self._workers = workers
        self._gpus = gpus
        self._died = died

    def __call__(self, run: Callable[[Order], Result], jobs: Iterable[Order]) -> Generator[Result]:
        """As there."""
        remote = self._ray.remote(num_cpus=1, num_gpus=self._gpus)(run)
        waiting, running = iter(jobs), list[Any]()
        try:
            while True:
                running += [
                    remote.remote(job) for job in islice(waiting, self._workers - len(running))
                ]
                if not running:
                    return
                done, running = self._ray.wait(running)
                for reference in done:
                    yield self._result(reference)
        finally:
            for reference in running:
                self._ray.cancel(reference, force=True)
            if self._own:
                self._ray.shutdown()

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayError as error:
            text = " ".join(str(error).split())[-300:]
            raise self._died(f"a worker died: {text}") from error
