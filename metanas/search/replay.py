"""Optuna studies on stored curves: how one of its pruners would have searched."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from metanas.search.named import PRUNERS

LOWEST = -1e30
"""A diverged run's value: Optuna compares no infinities."""


def replayed(
    pruner: str,
    options: Mapping[str, Any],
    curves: NDArray[np.float64],
    final: NDArray[np.float64],
    orders: NDArray[np.int64],
    *,
    seed: int,
) -> NDArray[np.int64]:
    """Points each run was trained for, in the rows' order, (searches, n).

    Args:
        pruner: a key of `metanas.search.named.PRUNERS`. options: of it.
        curves: higher is better, NaN where a run diverged, (n, positions).
        final: of each run, (n,). orders: one search a row, (searches, n).
        seed: of the study's name, which Hyperband draws its brackets by.
    """
    positions = curves.shape[1]
    lengths = np.full(orders.shape, positions, np.int64)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        for row, order in enumerate(orders):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                made = PRUNERS[pruner](**options)
            study = optuna.create_study(
                study_name=f"replay-{seed}-{row}",
                direction="maximize",
                pruner=made,
                sampler=optuna.samplers.RandomSampler(seed=seed),
            )
            for run in order:
                lengths[row, run] = _trained(study, curves[run], float(final[run]))
    finally:
        optuna.logging.set_verbosity(before)
    return lengths


def _trained(study: optuna.Study, curve: NDArray[np.float64], final: float) -> int:
    """Points until the run is pruned, or all."""
    trial = study.ask()
    for position, value in enumerate(curve[:-1].tolist(), 1):
        trial.report(max(value, LOWEST) if math.isfinite(value) else LOWEST, position)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return position
    last = float(curve[-1])
    trial.report(max(last, LOWEST) if math.isfinite(last) else LOWEST, len(curve))
    study.tell(trial, max(final, LOWEST))
    return len(curve)
