"""What every evaluator must do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import closing

import pytest

from metadata_store.records import Architecture, LearningCurve, Task
from metanas.protocols import Evaluator


def curve(steps: Iterable[tuple[int, float]]) -> LearningCurve:
    """Compares NaN equal to NaN."""
    epochs, values = zip(*steps, strict=True)
    return LearningCurve("val_accuracy", epochs, values)


class EvaluatorContract:
    """Subclasses give the evaluator, and an architecture and a task it can answer for."""

    @pytest.fixture
    def evaluator(self) -> Evaluator:
        raise NotImplementedError

    @pytest.fixture
    def architecture(self) -> Architecture:
        raise NotImplementedError

    @pytest.fixture
    def task(self) -> Task:
        raise NotImplementedError

    def test_epochs_increase_from_one_and_make_a_curve(
        self, evaluator: Evaluator, architecture: Architecture, task: Task
    ) -> None:
        assert len(curve(evaluator(architecture, task, seed=0))) >= 2

    def test_values_are_fractions_or_nan(
        self, evaluator: Evaluator, architecture: Architecture, task: Task
    ) -> None:
        for _, value in evaluator(architecture, task, seed=1):
            assert math.isnan(value) or 0.0 <= value <= 1.0

    def test_the_same_seed_gives_the_same_values(
        self, evaluator: Evaluator, architecture: Architecture, task: Task
    ) -> None:
        first = curve(evaluator(architecture, task, seed=-3))
        assert curve(evaluator(architecture, task, seed=-3)) == first

    def test_closing_ends_it_and_the_next_starts_anew(
        self, evaluator: Evaluator, architecture: Architecture, task: Task
    ) -> None:
        whole = curve(evaluator(architecture, task, seed=0))
        with closing(evaluator(architecture, task, seed=0)) as steps:
            assert next(steps) == (whole.epochs[0], pytest.approx(whole.values[0], nan_ok=True))
        with pytest.raises(StopIteration):
            next(steps)
        assert curve(evaluator(architecture, task, seed=0)) == whole

    def test_two_at_once_do_not_disturb_each_other(
        self, evaluator: Evaluator, architecture: Architecture, task: Task
    ) -> None:
        alone = curve(evaluator(architecture, task, seed=0))
        pairs = zip(
            evaluator(architecture, task, seed=0),
            evaluator(architecture, task, seed=5),
            strict=True,
        )
        assert curve(first for first, _ in pairs) == alone
