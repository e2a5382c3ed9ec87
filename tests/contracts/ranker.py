"""What every ranker of learning curves must do."""

import math
import pickle
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.spaces.table import TableSpace

EPOCHS = 10


def run(
    task: str,
    rate: float,
    units: int,
    *,
    upto: int = EPOCHS,
    scale: float = 1.0,
    shift: float = 0.0,
    state: TrialState | None = None,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> Trial:
    """A run whose curve rises towards what its two choices are worth."""
    best = 0.9 - 0.08 * (math.log10(rate) + 2.0) ** 2 + 0.02 * units
    wobble = 0.01 * math.sin(7.0 * rate * 100 + units + seed)
    x = np.arange(1, epochs + 1) / epochs * EPOCHS
    values = best + wobble - (best - 0.1) * np.exp(-0.5 * (x - 1.0) * (0.6 + 0.1 * units))
    values = shift + scale * values[:upto]
    ended = state or (TrialState.COMPLETED if upto == epochs else TrialState.STOPPED)
    architecture = Architecture("made", {"rate": rate, "units": units})
    curve = LearningCurve("accuracy", tuple(range(1, upto + 1)), tuple(values.tolist()))
    return Trial(task, architecture, curve, ended, seed, "made up")


def choices(count: int, seed: int = 0) -> list[tuple[float, int]]:
    """Random choices."""
    rng = np.random.default_rng(seed)
    return [(float(10 ** rng.uniform(-4, 0)), int(rng.integers(1, 5))) for _ in range(count)]


def source_trials(tasks: Sequence[str] = ("one", "two", "three"), count: int = 16) -> list[Trial]:
    """Whole runs of a few tasks that differ in level and height."""
    return [
        run(task, *choice, scale=1.0 - 0.15 * index, shift=0.05 * index)
        for index, task in enumerate(tasks)
        for choice in choices(count)
    ]


SPACE = TableSpace.of([*source_trials(), *(run("any", *choice) for choice in choices(60, 9))])


class RankerContract:
    """Subclass it with a fixture ``make``, a class that takes ``space`` and ``seed``."""

    tasks: ClassVar = {name: Task.table(name) for name in ("one", "two", "three")}
    task: ClassVar = Task.table("new")

    @pytest.fixture(scope="class")
    @classmethod
    def ranker(cls, make: Callable[..., Any]) -> Any:
        return make(space=SPACE, seed=0).fit(source_trials(), cls.tasks)

    def test_fit_returns_itself(self, ranker: Any) -> None:
        assert callable(ranker.probability_better)
        assert ranker.space is SPACE

    def test_the_chances_of_a_pair_add_up_to_one(self, ranker: Any) -> None:
        for (one, two), length in zip(
            zip(choices(6, 3), choices(6, 4), strict=True), (1, 2, 3, 5, 8, 10), strict=True
        ):
            a, b = run("new", *one, upto=length), run("new", *two, upto=EPOCHS)
            there = ranker.probability_better(a, b, self.task)
            back = ranker.probability_better(b, a, self.task)
            assert 0.0 <= there <= 1.0
            assert there + back == pytest.approx(1.0, abs=1e-6)

    def test_a_run_ends_above_itself_in_half_the_cases(self, ranker: Any) -> None:
        a = run("new", 0.01, 3, upto=4)
        assert ranker.probability_better(a, a, self.task) == pytest.approx(0.5, abs=1e-6)

    def test_a_clearly_better_run_is_likelier_to_win(self, ranker: Any) -> None:
        good, bad = run("new", 0.01, 4, upto=6), run("new", 0.9, 1, upto=6)
        assert ranker.probability_better(good, bad, self.task) > 0.7

    def test_a_batch_has_one_chance_a_pair(self, ranker: Any) -> None:
        pairs = [run("new", *choice, upto=5) for choice in choices(6, 5)]
        found = ranker.probabilities_better(pairs[:3], pairs[3:], self.task)
        assert found.shape == (3,)
        assert ((found >= 0.0) & (found <= 1.0)).all()

    def test_scores_order_runs_like_their_ends(self, ranker: Any) -> None:
        picked = choices(25, 7)
        seen = [run("new", *choice, upto=7) for choice in picked]
        ends = [run("new", *choice).score for choice in picked]
        assert np.corrcoef(ranker.scores(seen, self.task), ends)[0, 1] > 0.7

    def test_a_batch_of_trials_teaches_the_same_as_a_list(
        self, make: Callable[..., Any], ranker: Any
    ) -> None:
        other = make(space=SPACE, seed=0).fit(Trials.of(source_trials()), self.tasks)
        a, b = run("new", 0.01, 4, upto=3), run("new", 0.3, 2)
        assert ranker.probability_better(a, b, self.task) == other.probability_better(
            a, b, self.task
        )

    def test_curves_with_gaps_nan_and_other_lengths_are_compared(self, ranker: Any) -> None:
        architecture = run("new", 0.01, 2).architecture
        for epochs, values in (
            ((1, 4, 7), (0.1, math.nan, 0.5)),
            ((3,), (0.4,)),
            (tuple(range(1, 31)), tuple(np.linspace(0.1, 0.6, 30).tolist())),
            ((1, 2), (math.nan, math.nan)),
        ):
            odd = Trial(
                "new",
                architecture,
                LearningCurve("accuracy", epochs, values),
                TrialState.STOPPED,
                0,
                "made up",
            )
            chance = ranker.probability_better(odd, run("new", 0.02, 3), self.task)
            assert 0.0 <= chance <= 1.0

    def test_an_empty_curve_is_refused(self, ranker: Any) -> None:
        empty = Trial(
            "new",
            run("new", 0.01, 2).architecture,
            LearningCurve("accuracy", (), ()),
            TrialState.FAILED,
            0,
            "made up",
        )
        with pytest.raises(ValueError, match="curve"):
            ranker.probability_better(empty, run("new", 0.02, 3), self.task)

    def test_survives_pickling(self, ranker: Any) -> None:
        copy = pickle.loads(pickle.dumps(ranker))
        a, b = run("new", 0.01, 4, upto=3), run("new", 0.3, 2)
        assert copy.probability_better(a, b, self.task) == ranker.probability_better(
            a, b, self.task
        )
