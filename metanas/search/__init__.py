"""Searches on Optuna: the one package that imports it.

In a user's own Optuna code::

    study = optuna.create_study(direction="maximize",
                                sampler=XferNASSampler(store, task, space),
                                pruner=LCRankPruner(store, task))
    study.optimize(objective, callbacks=[Remember(store, task, space)])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanas.search.pruner import LCRankPruner
    from metanas.search.remember import Remember
    from metanas.search.sampler import XferNASSampler

__all__ = ["LCRankPruner", "Remember", "XferNASSampler"]


def __getattr__(name: str) -> Any:
    """Imports what is asked for: each takes seconds, and one of them may do."""
    if name == "XferNASSampler":
        from metanas.search.sampler import XferNASSampler

        return XferNASSampler
    if name == "LCRankPruner":
        from metanas.search.pruner import LCRankPruner

        return LCRankPruner
    if name == "Remember":
        from metanas.search.remember import Remember

        return Remember
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
