"""What `metanas.bench.early_stop` compares, by name."""

from __future__ import annotations

from metanas.bench.curve_baselines.curve_mixture import CurveFits, CurveMixture
from metanas.bench.curve_baselines.learned import CurveMatching, GradientBoosting, SupportVectors
from metanas.bench.curve_baselines.optuna_pruners import (
    Hyperband,
    Median,
    Percentile,
    SuccessiveHalving,
    Wilcoxon,
)
from metanas.bench.curve_baselines.rankers import Alone, Default, Paper
from metanas.bench.curve_baselines.simple import BestValue, LastValue, Nothing, Oracle
from metanas.bench.curve_baselines.target import MakeMethod

CURVE_METHODS: dict[str, MakeMethod] = {
    "lcranknet": Default,
    "lcranknet-paper": Paper,
    "lcranknet-alone": Alone,
    "last-value": LastValue,
    "best-value": BestValue,
    "curve-fits": CurveFits,
    "curve-mixture": CurveMixture,
    "svr": SupportVectors,
    "curve-matching": CurveMatching,
    "gradient-boosting": GradientBoosting,
    "median": Median,
    "percentile": Percentile,
    "successive-halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "wilcoxon": Wilcoxon,
    "none": Nothing,
    "oracle": Oracle,
}
"""Each takes ``space``, ``seed`` and ``outcome``."""

LEARNERS = frozenset({"lcranknet-paper", "svr", "curve-matching", "gradient-boosting"})
"""Those that are nothing without runs of other tasks."""
