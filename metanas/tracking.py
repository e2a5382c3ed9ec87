"""Trials as MLflow runs: a sink for those who want to see their searches there.

The store remains the record: MLflow may be out of reach, and then the sink says so in
one `TrackingError`, soon, and the caller goes on. Nothing here is global: no active
run, no tracking URI set for the process, so threads and processes may log at once.

A trial becomes one run. `metanas.importers.mlflow` reads it back exactly.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from metadata_store.records import Architecture, Trial, TrialState
from metanas import __version__
from metanas.importers.mlflow import KIND_TAG, STATES, as_key, fields_of, tags_of
from metanas.importers.mlflow_client import SQLITE, connected

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run

URI_VARIABLE = "MLFLOW_TRACKING_URI"
PARENT_TAG = "mlflow.parentRunId"
OPENED_TAG = "metanas.opened"
"""When logging of a trial began, in milliseconds: its run's start is that of the training."""

CUT_OFF = 5 * 60 * 1000
"""Milliseconds after which a run still open was cut off; logging takes seconds."""

GONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow says of a run that it never had, and of a deleted one."""

STATUS = {TrialState(state): status for status, state in STATES.items()}

PARAMS_AT_ONCE = 100
METRICS_AT_ONCE = 800
"""MLflow takes at most 100 parameters, and 1,000 entries in all, in one request."""

RUNS_AT_ONCE = 500

Identity = tuple[str, Architecture, int, str]
"""Of a trial, see `Trial.identity`."""

NO_TAGS: Mapping[str, str] = MappingProxyType({})

TEXT_LENGTH = 1_000
"""Texts for the eye are cut here; MLflow refuses longer ones than 5,000."""


class TrackingError(OSError):
    """MLflow could not be reached, or refused; nothing else is affected."""


class RunGone(TrackingError):
    """MLflow was reached, and has no such run."""


def default_uri() -> str:
    """``$MLFLOW_TRACKING_URI``, else an SQLite database in the user's data folder."""
    return os.environ.get(URI_VARIABLE) or f"{SQLITE}{_own_folder() / 'mlflow.db'}"


@dataclass(frozen=True)
class MlflowSink:
    """Logs each finished trial as a run; callable, so it is a sink like any other.

    Attributes:
        uri: of a tracking server or database; an SQLite database is made on first use.
        experiment: its name; made on first use.
        parent: id of the run under which trials are logged, see `start`.
    """

    uri: str = field(default_factory=default_uri)
    experiment: str = "metanas"
    parent: str | None = None

    def __call__(self, trial: Trial) -> str:
        return self.log(trial)

    def log(
        self,
        trial: Trial,
        *,
        artifacts: Sequence[str | Path] = (),
        tags: Mapping[str, str] = NO_TAGS,
    ) -> str:
        """Logs a trial.

        A run that could not be logged to its end stays in the state "running", and the
        importer passes over it.

        Args:
            artifacts: files to keep with the run, such as an exported model.
            tags: further ones.

        Returns:
            The run's id.

        Raises:
            ValueError: an artifact is no file.
            TrackingError: MLflow cannot be reached or refuses.
        """
        files = [Path(artifact) for artifact in artifacts]
        for file in files:
            if not file.is_file():
                raise ValueError(f"need a file to keep with the run, got {file}")
        now = int(time.time() * 1000)
        taken = round(trial.seconds * 1000) if math.isfinite(trial.seconds) else 0
        with connected(self.uri, raising=TrackingError, create=True) as client:
            run = self._open(
                client,
                f"{trial.task} {trial.architecture.key[:8]} seed {trial.seed}",
                {**_cut(tags), **tags_of(trial), **_told(trial), OPENED_TAG: str(now)},
                now - taken,
            )
            _log(client, run, _metrics(trial, now), _params(trial.architecture.choices))
            for file in files:
                client.log_artifact(run, str(file))
            client.set_terminated(run, STATUS[trial.state], end_time=now)
        return run

    def start(self, name: str, settings: Mapping[str, object]) -> MlflowSink:
        """Opens a run for a whole search, and gives the sink that logs under it.

        Args:
            settings: of the search; become the run's parameters.

        Raises:
            TrackingError: MLflow cannot be reached or refuses.
        """
        with connected(self.uri, raising=TrackingError, create=True) as client:
            run = self._open(client, name, {KIND_TAG: "search"}, int(time.time() * 1000))
            _log(client, run, [], _params(settings))
        return replace(self, parent=run)

    def under(self, run: str) -> MlflowSink:
        """The sink that logs under a run that `start` opened before.

        Raises:
            RunGone: MLflow has no such run, or it was deleted.
            TrackingError: MLflow cannot be reached.
        """
        from mlflow.exceptions import MlflowException

        # A database that is not there yet, or no more, has no runs: that is no failure.
        with connected(self.uri, raising=TrackingError, create=True) as client:
            try:
                client.update_run(run, status="RUNNING")
            except MlflowException as error:
                if error.error_code not in GONE:
                    raise
                raise RunGone(f"MLflow has no run {run}") from error
        return replace(self, parent=run)

    def discard(self) -> None:
        """Deletes the run that `start` opened, and those logged under it.

        Raises:
            ValueError: there is none.
            TrackingError: MLflow cannot be reached or refuses.
        """
        from mlflow.exceptions import MlflowException

        parent = self._own_run()
        with connected(self.uri, raising=TrackingError) as client:
            under = _runs(client, self._experiment_id(client), {PARENT_TAG: parent})
            for run in [*(each.info.run_id for each in under), parent]:
                try:
                    client.delete_run(run)
                except MlflowException as error:
                    if error.error_code not in GONE:  # it was not another process that did
                        raise

    def logged(self, trial: Trial | None = None) -> dict[Identity, bool]:
        """Trials logged under the parent run, by identity, and whether to their end.

        One that is not may be in logging elsewhere right now. Runs that were cut off
        minutes ago are deleted, and their trials are not among these.

        Args:
            trial: look for this one only.

        Raises:
            ValueError: the sink has no parent run.
            TrackingError: MLflow cannot be reached or refuses.
        """
        tags = {PARENT_TAG: self._own_run()}
        if trial is not None:
            told = _told(trial)
            tags |= {name: told[name] for name in ("metanas.architecture", "metanas.seed")}
        found: dict[Identity, bool] = {}
        with connected(self.uri, raising=TrackingError, create=True) as client:
            for run in _runs(client, self._experiment_id(client), tags):
                ended = run.info.status in STATES
                if not ended and _opened(run) < time.time() * 1000 - CUT_OFF:
                    client.delete_run(run.info.run_id)
                    continue
                fields = fields_of(run.data.tags)
                architecture = Architecture(fields["space"], fields["choices"])
                identity = fields["task"], architecture, fields["seed"], fields["source"]
                found[identity] = ended or found.get(identity, False)
        return found

    def finish(self, *, failed: bool = False) -> None:
        """Closes the run that `start` opened.

        Raises:
            ValueError: there is none.
            TrackingError: MLflow cannot be reached or refuses.
        """
        parent = self._own_run()
        with connected(self.uri, raising=TrackingError) as client:
            client.set_terminated(parent, "FAILED" if failed else "FINISHED")

    def _own_run(self) -> str:
        """The run that `start` opened."""
        if self.parent is None:
            raise ValueError("need a sink that start() gave, got one without a parent run")
        return self.parent

    def _open(self, client: MlflowClient, name: str, tags: Mapping[str, str], start: int) -> str:
        all_tags = {**tags, **_environment()}
        if self.parent is not None:
            all_tags[PARENT_TAG] = self.parent
        run = client.create_run(self._experiment_id(client), start, all_tags, name[:TEXT_LENGTH])
        return str(run.info.run_id)

    def _experiment_id(self, client: MlflowClient) -> str:
        from mlflow.exceptions import MlflowException

        known = client.get_experiment_by_name(self.experiment)
        if known is None:
            try:
                return str(client.create_experiment(self.experiment, self._artifact_location()))
            except MlflowException:
                known = client.get_experiment_by_name(self.experiment)
                if known is None:  # it was not another process that made it meanwhile
                    raise
        return str(known.experiment_id)

    def _artifact_location(self) -> str | None:
        """Beside the database; a server knows its own place.

        Why: MLflow would take the working directory.
        """
        if self.uri.startswith(("http://", "https://")):
            return None
        folder = _own_folder()
        if self.uri.startswith(SQLITE):
            folder = Path(self.uri.removeprefix(SQLITE).partition("?")[0]).absolute().parent
        return (folder / "mlflow-artifacts" / as_key(self.experiment)).as_uri()


def _log(
    client: MlflowClient, run: str, metrics: Sequence[Metric], params: Sequence[Param]
) -> None:
    metrics, params = list(metrics), list(params)
    while metrics or params:
        client.log_batch(run, metrics[:METRICS_AT_ONCE], params[:PARAMS_AT_ONCE])
        del metrics[:METRICS_AT_ONCE], params[:PARAMS_AT_ONCE]


def _runs(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> Iterator[Run]:
    """The runs with these tags, whose texts hold no quotes."""
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment],
            " and ".join(f"tags.`{name}` = '{text}'" for name, text in tags.items()),
            max_results=RUNS_AT_ONCE,
            page_token=token or None,
        )
        yield from page
        token = page.token or None


def _opened(run: Run) -> int:
    return int(run.data.tags.get(OPENED_TAG, run.info.start_time))


def _metrics(trial: Trial, now: int) -> list[Metric]:
    from mlflow.entities import Metric

    key = as_key(trial.curve.metric)
    points = zip(trial.curve.epochs, trial.curve.values, strict=True)
    curve = [Metric(key, value, now, epoch) for epoch, value in points]
    last = trial.curve.epochs[-1] if trial.curve.epochs else 0
    numbers = {**trial.extras, "seconds": trial.seconds}
    extras = {f"extras/{as_key(name)}": float(number) for name, number in numbers.items()}
    return curve + [Metric(name, number, now, last) for name, number in extras.items()]


def _params(settings: Mapping[str, Any]) -> list[Param]:
    from mlflow.entities import Param

    texts = {as_key(name): str(value)[:TEXT_LENGTH] for name, value in settings.items()}
    return [Param(name, text) for name, text in texts.items()]


def _told(trial: Trial) -> dict[str, str]:
    """Tags to search by."""
    names = {
        "task": trial.task,
        "space": trial.architecture.space,
        "architecture": trial.architecture.key,
        "metric": trial.curve.metric,
        "state": trial.state.value,
        "seed": str(trial.seed),
        "source": trial.source,
    }
    return _cut({f"metanas.{name}": text for name, text in names.items()})


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: text[:TEXT_LENGTH] for name, text in tags.items()}


def _environment() -> dict[str, str]:
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "not installed"
    return {
        "environment.metanas": __version__,
        "environment.python": platform.python_version(),
        "environment.torch": torch,
        "environment.platform": platform.platform(),
    }


def _own_folder() -> Path:
    from platformdirs import user_data_dir

    return Path(user_data_dir("metanas", appauthor=False))
