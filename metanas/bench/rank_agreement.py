"""How alike two lists of numbers rank the same things."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kendalltau, spearmanr


def rank_agreement(one: ArrayLike, other: ArrayLike) -> dict[str, float]:
    """Their ``spearman`` and ``kendall``; 0 where one side is constant, or has NaN.

    Args:
        one, other: at least one number each, (n,).
    """
    # Constant lists rank nothing, and SciPy warns of them.
    if not (np.ptp(one) > 0 and np.ptp(other) > 0):
        return {"spearman": 0.0, "kendall": 0.0}
    return {
        "spearman": float(spearmanr(one, other).statistic),
        "kendall": float(kendalltau(one, other).statistic),
    }
