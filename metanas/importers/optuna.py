"""Optuna studies as trials.

A trial's intermediate values are its curve, their steps counted from 1; without any,
the final value is a curve of one point. Completed trials keep the final value as the
extra ``final_value`` beside a curve. Pruned trials are stopped ones, those running or
waiting are left. A minimised objective is negated and its metric named ``negative_…``.

Choices are the parameters; one that is None becomes the text ``None``, for a choice is
a text, number or boolean. Numbers among the user attributes are extras, one named
``seed`` is the seed; where there is none the trial's number stands for it, so that the
same parameters tried twice are two trials. Optuna hands out a study as a whole, so a
study has to fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from metanas.importers.chunks import Row, chunks, row
from metanas.importers.location import masked, split
from metanas.importers.mlflow_client import SQLITE, require_sqlite

if TYPE_CHECKING:
    import optuna

    Trials = list[optuna.trial.FrozenTrial]

STATES = {"COMPLETE": "completed", "PRUNED": "stopped", "FAIL": "failed"}


def read_optuna(location: str) -> Iterator[pa.Table]:
    """Trials of one study.

    Args:
        location: ``URL#STUDY``, the study's name may be left out if there is one only;
            or with options, ``URL#study=NAME&task=TASK&space=SPACE&metric=NAME``. Task
            and space are by default named after the study, the metric as the study
            names it, or ``value``.

    Raises:
        ValueError: no such storage or study, or one with several objectives.
    """
    url, options = split(location, ("study", "task", "space", "metric"), bare="study")
    if url.startswith(SQLITE) or "://" not in url:
        path = Path(url.removeprefix(SQLITE).partition("?")[0])
        require_sqlite(path, "studies", "an Optuna storage")
        url = url if url.startswith(SQLITE) else f"{SQLITE}{path.absolute()}"
    where = masked(location)
    study, trials = _loaded(url, where, options.get("study"))
    yield from chunks(_rows(study, trials, options), where=where)


def _loaded(url: str, where: str, name: str | None) -> tuple[optuna.Study, Trials]:
    import optuna

    try:
        names = optuna.get_all_study_names(url)
        if name is None and len(names) == 1:
            name = names[0]
        if name not in names:
            raise ValueError(
                f"want one of the studies {', '.join(names) or 'none'}, named after a '#' "
                f"at the end of the URL, got {name}"
            )
        study = optuna.load_study(study_name=name, storage=url)
        if len(study.directions) != 1:
            raise ValueError(f"want a study of one objective, got {len(study.directions)} of them")
        return study, study.get_trials(deepcopy=False)
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        raise ValueError(f"{where}: {detail}") from error


def _rows(study: optuna.Study, trials: Trials, options: Mapping[str, str]) -> Iterator[Row]:
    for trial in trials:
        if trial.state.name in STATES:
            yield row_of(study, trial, options)


def row_of(study: optuna.Study, trial: optuna.trial.FrozenTrial, options: Mapping[str, str]) -> Row:
    """The row of a trial that ended.

    Args:
        options: as after ``#`` in a location.
    """
    minimised = study.direction.name == "MINIMIZE"
    names = study.metric_names
    metric = options.get("metric") or (names[0] if names else "value")
    return row(
        task=options.get("task", study.study_name),
        metric=f"negative_{metric}" if minimised else metric,
        space=options.get("space", study.study_name),
        source=f"optuna:{study.study_name}",
        **_measured(trial, -1.0 if minimised else 1.0),
    )


def _measured(trial: optuna.trial.FrozenTrial, sign: float) -> dict[str, Any]:
    final = None if trial.values is None else sign * trial.values[0]
    curve = {step: sign * value for step, value in sorted(trial.intermediate_values.items())}
    extras: dict[str, float | None] = {
        name: value
        for name, value in trial.user_attrs.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "seed"
    }
    if curve and trial.state.name == "COMPLETE":
        extras["final_value"] = final
    elif not curve and final is not None:
        curve = {1: final}
    seed = trial.user_attrs.get("seed")
    shift = min(curve, default=1) == 0
    return {
        "choices": {
            name: "None" if choice is None else choice for name, choice in trial.params.items()
        },
        "state": STATES[trial.state.name],
        "seed": seed if type(seed) is int else trial.number,
        "seconds": None if trial.duration is None else trial.duration.total_seconds(),
        "epochs": [step + shift for step in curve],
        "values": list(curve.values()),
        "extras": extras,
    }
