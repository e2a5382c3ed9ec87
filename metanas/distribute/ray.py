"""Workers as tasks of a Ray cluster; the one module that imports Ray.

Every node must reach the store: PostgreSQL, or SQLite on a disk they share.
"""

from __future__ import annotations

from typing import Any

from metanas.distribute.job import Job, run


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
        try:
            import ray
        except ImportError as error:
            raise ModuleNotFoundError(
                "workers on a cluster need Ray: pip install 'metanas[distributed]'"
            ) from error
        self._ray: Any = ray
        self._own = not ray.is_initialized()
        if self._own:
            ray.init(address=address, log_to_driver=False, include_dashboard=False)
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
