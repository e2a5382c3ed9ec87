"""Predictors: trials of other tasks in, expected scores on a new one out.

Every class takes the search space as ``space``; see `metanas.protocols.Predictor`.
"""

from __future__ import annotations

from collections.abc import Callable

from metanas.predictors.gradient_boosting import GradientBoosting
from metanas.predictors.nearest_task import NearestTask
from metanas.predictors.params import Params
from metanas.predictors.portfolio import Portfolio
from metanas.predictors.random import RandomScores
from metanas.predictors.random_forest import RandomForest
from metanas.predictors.ridge import Ridge
from metanas.predictors.tapas import Tapas
from metanas.predictors.tapas_paper import TapasPaper
from metanas.predictors.xfernas import XferNAS
from metanas.predictors.xfernas_paper import XferNASPaper
from metanas.protocols import Predictor

PREDICTORS: dict[str, Callable[..., Predictor]] = {
    "tapas": Tapas,
    "tapas_paper": TapasPaper,
    "portfolio": Portfolio,
    "nearest_task": NearestTask,
    "random_forest": RandomForest,
    "gradient_boosting": GradientBoosting,
    "ridge": Ridge,
    "xfernas": XferNAS,
    "xfernas_paper": XferNASPaper,
    "params": Params,
    "random": RandomScores,
}
"""The key is the name of the file."""
