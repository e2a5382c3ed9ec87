"""Optuna's own samplers and pruners by name, used as they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec

import optuna
from optuna.exceptions import ExperimentalWarning

NUMERIC_ONLY = ("cmaes",)
"""Samplers that draw categorical choices at random."""

ONE_OBJECTIVE = ("cmaes",)


def _tpe(*, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed)


def _gp(*, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)


def _nsga2(*, seed: int, population_size: int = 50) -> optuna.samplers.BaseSampler:
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=population_size)


def _cmaes(*, seed: int) -> optuna.samplers.BaseSampler:
    if find_spec("cmaes") is None:
        raise ValueError("sampler 'cmaes' needs the package cmaes: pip install cmaes")
    return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)


SAMPLERS: dict[str, Callable[..., optuna.samplers.BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "nsga2": _nsga2,
    "cmaes": _cmaes,
}
"""Each takes a seed, and options of its own; see Optuna's documentation."""


def _none() -> optuna.pruners.BasePruner:
    return optuna.pruners.NopPruner()


def _median(*, n_startup_trials: int = 5, n_warmup_steps: int = 0) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(n_startup_trials, n_warmup_steps)


def _percentile(
    *, percentile: float = 25.0, n_startup_trials: int = 5, n_warmup_steps: int = 0
) -> optuna.pruners.BasePruner:
    return optuna.pruners.PercentilePruner(percentile, n_startup_trials, n_warmup_steps)


def _hyperband(*, min_resource: int = 1, reduction_factor: int = 3) -> optuna.pruners.BasePruner:
    return optuna.pruners.HyperbandPruner(min_resource, reduction_factor=reduction_factor)


def _sha(*, min_resource: int = 1, reduction_factor: int = 4) -> optuna.pruners.BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(min_resource, reduction_factor)


def _wilcoxon(*, p_threshold: float = 0.1) -> optuna.pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.pruners.WilcoxonPruner(p_threshold=p_threshold)


PRUNERS: dict[str, Callable[..., optuna.pruners.BasePruner]] = {
    "none": _none,
    "median": _median,
    "percentile": _percentile,
    "hyperband": _hyperband,
    "sha": _sha,
    "wilcoxon": _wilcoxon,
}
