"""MLflow runs as trials: the inverse of `metanas.tracking`, and runs of other programs.

A run that `metanas.tracking` logged holds its trial exactly: the curve as a metric with
one step an epoch, all else in the tag ``metanas.trial`` (parameters and further tags are
for the eye, since MLflow cuts long ones and turns all into text).

Runs of others have no such tag. They are read where the location says how, with options
after ``#``: ``experiment=NAME&metric=val_acc&task=TASK&space=SPACE``, and if need be
``direction=minimize`` (the metric is negated) and ``seed=NAME`` (the parameter that is
the seed and no choice). Their parameters are the choices; the steps of the metric are
the epochs, counted from 1, and where all is logged at one step the values as they came;
the source is ``mlflow:RUN``. Runs still under way are left, and those of searches and
meta-trainings.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from metadata_store.records import Choice, Trial
from metanas.importers.chunks import Row, as_json, chunks, row
from metanas.importers.location import masked, split
from metanas.importers.mlflow_client import connected

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

TRIAL_TAG = "metanas.trial"
KIND_TAG = "metanas.kind"
"""Of runs that are no trial of a task: a whole search's, a meta-training's. They are left."""

TAG_LENGTH = 4_000
"""Longest text put into one tag; a longer trial goes on in ``metanas.trial.1`` and so on."""

FOREIGN = ("metric", "task", "space")
"""Options needed to read runs of other programs."""

STATES = {"FINISHED": "completed", "KILLED": "stopped", "FAILED": "failed"}
"""State of a trial by the status of its run."""

PAGE = 500


def read_mlflow(location: str) -> Iterator[pa.Table]:
    """Trials of a tracking server or database, a run at a time.

    Args:
        location: ``URI`` for all experiments, ``URI#EXPERIMENT``, or with options as above.

    Raises:
        ValueError: cannot be reached or read, no such experiment, or only runs of other
            programs and no options that say how to read them.
    """
    known = ("experiment", *FOREIGN, "direction", "seed")
    uri, options = split(location, known, bare="experiment")
    where = masked(location)
    given = [name for name in (*FOREIGN, "direction", "seed") if name in options]
    if given and not all(name in options for name in FOREIGN):
        raise ValueError(f"{where}: want {', '.join(FOREIGN)} together, got {', '.join(given)}")
    if options.get("direction", "maximize") not in ("maximize", "minimize"):
        raise ValueError(
            f"{where}: want direction maximize or minimize, got {options['direction']}"
        )
    yield from chunks(_rows(uri, where, options), where=where)


def tags_of(trial: Trial) -> dict[str, str]:
    """The tags from which `read_mlflow` makes the trial again, given its curve."""
    text = as_json(
        {
            "task": trial.task,
            "space": trial.architecture.space,
            "choices": dict(trial.architecture.choices),
            "metric": trial.curve.metric,
            "state": trial.state.value,
            "seed": trial.seed,
            "source": trial.source,
            "seconds": trial.seconds,
            "extras": dict(trial.extras),
        }
    )
    parts = [text[start : start + TAG_LENGTH] for start in range(0, len(text), TAG_LENGTH)]
    return {_tag(number): part for number, part in enumerate(parts)}


def fields_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """The inverse of `tags_of`: what `chunks.row` takes, the curve left out.

    Raises:
        ValueError: the tag is missing or cut.
    """
    parts = list[str]()
    while (tag := _tag(len(parts))) in tags:
        parts.append(tags[tag])
    fields = json.loads("".join(parts))
    if not isinstance(fields, dict):
        raise ValueError(f"want a JSON object, got {fields!r:.40}")
    return fields


def as_key(name: str) -> str:
    """A name as MLflow allows it for a metric or parameter; different names may become one."""
    key = re.sub(r"[^\w\- :.]", "_", name)[:250]
    return key if key.strip(".") else f"_{key}"


def _tag(number: int) -> str:
    return f"{TRIAL_TAG}.{number}" if number else TRIAL_TAG


def _rows(uri: str, where: str, options: Mapping[str, str]) -> Iterator[Row]:
    read = foreign = 0
    for page in _pages(uri, where, options):
        found = [each for each in page if each is not None]
        foreign += len(page) - len(found)
        read += len(found)
        yield from found
    if not read and foreign:
        raise ValueError(
            f"{where}: {foreign} runs, none logged by metanas; say how to read them with "
            f"#experiment=NAME&{'&'.join(f'{name}=...' for name in FOREIGN)}"
        )
    if not read:
        raise ValueError(f"{where}: want finished runs, got none")


def _pages(uri: str, where: str, options: Mapping[str, str]) -> Iterator[list[Row | None]]:
    """Rows of the finished runs, None for those of which nothing says how to read them."""
    wanted = options.get("experiment")
    with connected(uri, raising=ValueError) as client:
        experiments = {each.name: each.experiment_id for each in client.search_experiments()}
    if wanted is not None and wanted not in experiments:
        names = ", ".join(experiments) or "none"
        raise ValueError(f"{where}: no experiment {wanted!r}, there are {names}")
    for number in experiments.values() if wanted is None else [experiments[wanted]]:
        token: str | None = ""
        while token is not None:
            with connected(uri, raising=ValueError) as client:
                page = client.search_runs(
                    [number],
                    max_results=PAGE,
                    order_by=["attributes.start_time ASC"],
                    page_token=token or None,
                )
                token = page.token or None
                runs = [
                    run
                    for run in page
                    if run.info.status in STATES and KIND_TAG not in run.data.tags
                ]
                rows = [_row(client, run, options) for run in runs]
            yield rows


def _row(client: MlflowClient, run: Run, options: Mapping[str, str]) -> Row | None:
    if TRIAL_TAG in run.data.tags:
        return _own(client, run)
    return _foreign(client, run, options) if "metric" in options else None


def _own(client: MlflowClient, run: Run) -> Row:
    try:
        fields = fields_of(run.data.tags)
        curve = _curve(client, run, as_key(fields["metric"]))
        return row(epochs=list(curve), values=list(curve.values()), **fields)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"run {run.info.run_id}: its tag {TRIAL_TAG} is no trial: {error}"
        ) from None


def _foreign(client: MlflowClient, run: Run, options: Mapping[str, str]) -> Row:
    minimised = options.get("direction") == "minimize"
    sign, prefix = (-1.0, "negative_") if minimised else (1.0, "")
    curve = _numbered(client, run, options["metric"])
    first = min(curve, default=1)
    choices = {name: _choice(text) for name, text in run.data.params.items()}
    seed = choices.pop(options.get("seed", ""), 0)
    info = run.info
    return row(
        task=options["task"],
        metric=prefix + options["metric"],
        space=options["space"],
        choices=choices,
        source=f"mlflow:{info.run_id}",
        epochs=[step + (first < 1) for step in curve],
        values=[sign * value for value in curve.values()],
        state=STATES[info.status],
        seed=seed if type(seed) is int else 0,
        seconds=(info.end_time - info.start_time) / 1000 if info.end_time else None,
        extras={
            name: value for name, value in run.data.metrics.items() if name != options["metric"]
        },
    )


def _curve(client: MlflowClient, run: Run, key: str) -> dict[int, float]:
    """The last value logged at each step, by step."""
    return {point.step: point.value for point in _points(client, run, key)}


def _numbered(client: MlflowClient, run: Run, key: str) -> dict[int, float]:
    """The same; values logged without a step, all at one then, are numbered as they came."""
    points = _points(client, run, key)
    if len(points) > 1 and len({point.step for point in points}) == 1:
        return {number: point.value for number, point in enumerate(points, 1)}
    return {point.step: point.value for point in points}


def _points(client: MlflowClient, run: Run, key: str) -> list[Metric]:
    points = client.get_metric_history(run.info.run_id, key)
    return sorted(points, key=lambda point: (point.step, point.timestamp))


MOST_DIGITS = 18
"""Of a number; what has more is a name made of digits, and fits in no column of numbers."""


def _choice(text: str) -> Choice:
    """What a parameter was before MLflow made it a text."""
    if text in ("True", "False"):
        return text == "True"
    if re.fullmatch(r"-?[0-9]+", text):
        return int(text) if len(text) <= MOST_DIGITS else text
    try:
        number = float(text)
    except ValueError:
        return text
    # Python also reads digits grouped by "_", which no number logged has.
    return number if math.isfinite(number) and "_" not in text else text
