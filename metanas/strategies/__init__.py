"""Strategies: what to train next, given what was tried, on this task and on others.

Every class takes, by keyword, the search ``space``, the ``sources`` (trials of other tasks
of that space, possibly none), the ``tasks``' records by name and a ``seed``; see
`metanas.protocols.Strategy`. It keeps nothing about the search it is used in.
"""

from __future__ import annotations

from collections.abc import Callable

from metanas.protocols import Strategy
from metanas.strategies.evolution import Evolution
from metanas.strategies.greedy import Greedy
from metanas.strategies.nao import Nao
from metanas.strategies.portfolio import PortfolioStrategy
from metanas.strategies.random import RandomSearch
from metanas.strategies.random_forest import RandomForestStrategy
from metanas.strategies.xfernas import XferNASStrategy
from metanas.strategies.xfernas_paper import XferNASPaperStrategy

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "greedy": Greedy,
    "portfolio": PortfolioStrategy,
    "random-forest": RandomForestStrategy,
    "nao": Nao,
    "xfernas-paper": XferNASPaperStrategy,
    "xfernas": XferNASStrategy,
}
"""The key is the name of the file, with hyphens."""

COLD = ("random", "evolution", "nao")
"""Strategies that learn nothing from sources."""
