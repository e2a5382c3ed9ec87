from collections.abc import Sequence

import numpy as np
import pytest

from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.predictors.ridge import Ridge
from metanas.spaces.nasbench201 import NasBench201
from metanas.spaces.random_chooser import RandomChooser
from metanas.zero_shot import NothingToLearnFrom, ZeroShot, zero_shot

SPACE = NasBench201(width=4, cells=1)


def task(name: str, dcn: float) -> Task:
    return Task(name, "synthetic", "gratings", 100, 3, (1, 8, 8), dcn, {"log_classes": 1.1})


def convolutions(architecture: Architecture) -> int:
    return sum("conv" in str(operation) for operation in architecture.choices.values())


def filled(names: Sequence[str], target: str | None = None) -> MemoryStore:
    """Scores grow with the number of convolutions; on `target` they fall."""
    store = MemoryStore()
    rng = np.random.default_rng(0)
    drawn = [SPACE.suggest(RandomChooser(rng)) for _ in range(60)]
    for index, name in enumerate(names):
        store.add_task(task(name, 0.1 + 0.1 * index))
        sign = -1 if name == target else 1
        store.add_trials(
            [
                Trial(
                    name,
                    each,
                    LearningCurve("val_accuracy", (1,), (0.5 + sign * 0.05 * convolutions(each),)),
                    TrialState.COMPLETED,
                    0,
                    "tests",
                )
                for each in dict.fromkeys(drawn)
            ]
        )
    return store


def asked(store: MemoryStore, **changes: object) -> ZeroShot:
    given: dict[str, object] = {"neighbours": 3, "candidates": 10, "top": 4}
    return zero_shot(
        task("new", 0.3), store, space=SPACE, predictor=Ridge(space=SPACE), **(given | changes)
    )


def test_what_did_well_elsewhere_is_recommended_best_first() -> None:
    found = asked(filled(["a", "b"]))
    scores = [each.score for each in found.recommendations]
    assert convolutions(found.recommendations[0].architecture) >= 5
    assert scores == sorted(scores, reverse=True)
    assert found.scored == 15_625


def test_neighbours_weights_sum_to_one_and_the_nearest_come_first() -> None:
    found = asked(filled(["far", "near", "nearest"]), neighbours=2)
    assert [each.task for each in found.neighbours] == ["nearest", "near"]
    assert sum(each.weight for each in found.neighbours) == pytest.approx(1)


def test_the_tasks_own_trials_are_never_used() -> None:
    without = asked(filled(["a", "b"]))
    with_own = asked(filled(["a", "b", "new"], target="new"))
    assert [each.architecture for each in with_own.recommendations] == [
        each.architecture for each in without.recommendations
    ]


def test_excluded_tasks_are_not_learned_from() -> None:
    found = asked(filled(["a", "b"], target="b"), exclude=("b",))
    assert [each.task for each in found.neighbours] == ["a"]


def test_recommendations_keep_within_the_limits_and_compute_different_things() -> None:
    found = asked(filled(["a"]), max_params=6000, max_flops=120_000, top=10)
    for each in found.recommendations:
        assert each.params is not None
        assert each.flops is not None
        assert each.params <= 6000
        assert each.flops <= 120_000
    kinds = {SPACE.canonical(each.architecture) for each in found.recommendations}
    assert len(kinds) == 10


def test_limits_nothing_meets_are_an_error_that_names_the_least() -> None:
    with pytest.raises(ValueError, match="the least has"):
        asked(filled(["a"]), max_params=10)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(NothingToLearnFrom, match="another task"):
        asked(filled(["new"]))
