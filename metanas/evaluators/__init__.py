"""Evaluators: what an architecture is worth on a task, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable

from metanas.evaluators.recorded import Recorded
from metanas.evaluators.scratch import Scratch
from metanas.protocols import Evaluator

EVALUATORS: dict[str, Callable[..., Evaluator]] = {
    "scratch": Scratch,
    "recorded": Recorded,
}
"""By name; each is made with its space and keyword arguments of its own."""
