"""Rankers by name: which of two runs will end higher?"""

from __future__ import annotations

from typing import Any

from metanas.rankers.last_value import LastValue
from metanas.rankers.lcranknet import LCRankNet
from metanas.rankers.lcranknet_paper import LCRankNetPaper

RANKERS: dict[str, type[Any]] = {
    "lcranknet": LCRankNet,
    "lcranknet-paper": LCRankNetPaper,
    "last-value": LastValue,
}
"""Each takes ``space`` and ``seed``; the key is the name of its file."""
