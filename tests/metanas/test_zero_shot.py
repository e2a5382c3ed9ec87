from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.predictors.gradient_boosting import GradientBoosting
from metanas.predictors.ridge import Ridge
from metanas.predictors.tapas import Tapas
from metanas.spaces.darts import Darts
from metanas.spaces.nasbench201 import NasBench201
from metanas.spaces.random_chooser import RandomChooser
from metanas.spaces.table import TableSpace
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
    given: dict[str, Any] = {"neighbours": 3, "candidates": 10, "top": 4}
    given |= {"space": SPACE, "predictor": Ridge(space=SPACE)}
    return zero_shot(task("new", 0.3), store, **(given | changes))


def test_what_did_well_elsewhere_is_recommended_best_first() -> None:
    found = asked(filled(["a", "b"]))
    scores = [each.score for each in found.recommendations]
    assert convolutions(found.recommendations[0].architecture) >= 5
    assert scores == sorted(scores, reverse=True)
    assert found.scored == 15_625


def test_only_the_nearest_tasks_are_learned_from_and_weights_sum_to_one() -> None:
    found = asked(filled(["far", "near", "nearest"]), neighbours=2)
    assert {each.task for each in found.neighbours} == {"nearest", "near"}
    assert [each.weight for each in found.neighbours] == [0.5, 0.5]


def test_the_weights_told_are_those_the_predictor_used() -> None:
    store = filled(["far", "near", "nearest"])
    tapas = Tapas(space=SPACE, members=1, steps=1)
    found = asked(store, predictor=tapas)
    used = tapas.source_weights(task("new", 0.3))
    assert {each.task: each.weight for each in found.neighbours} == pytest.approx(dict(used))
    assert found.neighbours[0].task == "nearest"
    assert sum(each.weight for each in found.neighbours) == pytest.approx(1)


def test_where_a_space_cannot_be_listed_its_best_evolve() -> None:
    store, rng = MemoryStore(), np.random.default_rng(0)

    def trial(x: float, y: float) -> Trial:
        curve = LearningCurve("val_accuracy", (1,), (1 - abs(x - 0.5) - abs(y - 0.5),))
        drawn = Architecture("numbers", {"x": x, "y": y})
        return Trial("known", drawn, curve, TrialState.COMPLETED, 0, "tests")

    store.add_trials([trial(*rng.uniform(size=2).tolist()) for _ in range(60)])
    space = TableSpace.of(store.trials())
    given = {"space": space, "neighbours": 1, "candidates": 30, "top": 1}
    forest = GradientBoosting(space=space)
    found = zero_shot(task("new", 0.3), store, predictor=forest, **given)  # type: ignore[arg-type]
    assert found.scored > 1000
    x, y = (float(each) for each in found.recommendations[0].architecture.choices.values())
    assert abs(x - 0.5) + abs(y - 0.5) < 0.25


def test_the_tasks_own_trials_are_never_used() -> None:
    without = asked(filled(["a", "b"]))
    with_own = asked(filled(["a", "b", "new"], target="new"))
    assert [each.architecture for each in with_own.recommendations] == [
        each.architecture for each in without.recommendations
    ]


def test_a_task_with_few_architectures_is_not_learned_from() -> None:
    store = filled(["a"])
    store.add_task(task("new-like", 0.3))
    few = list(store.trials(task="a"))[:4]
    store.add_trials([replace(trial, task="new-like") for trial in few])
    assert [each.task for each in asked(store).neighbours] == ["a"]


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


def test_evolution_finds_what_is_within_limits_that_no_drawn_architecture_keeps() -> None:
    space = Darts(width=4, stem=4)
    rng = np.random.default_rng(0)
    drawn = [space.suggest(RandomChooser(rng)) for _ in range(30)]
    params = space.costs(drawn, task("new", 0.3)).params
    store = MemoryStore()
    store.add_task(task("a", 0.2))
    store.add_trials(
        Trial(
            "a",
            each,
            LearningCurve("val_accuracy", (1,), (float(cost) / 1e6,)),
            TrialState.COMPLETED,
            0,
            "tests",
        )
        for each, cost in zip(drawn, params, strict=True)
    )
    most = int(params.min())
    given: dict[str, Any] = {"space": space, "predictor": Ridge(space=space), "seed": 1}
    whole = asked(store, **given)
    found = asked(store, **given, max_params=most)
    assert all(each.params is not None and each.params <= most for each in found.recommendations)
    assert len(found.recommendations) == 4
    # Most of what evolves keeps to the limit, and is what the score likes best within it.
    assert found.scored > 0.5 * whole.scored
    assert max(each.params or 0 for each in found.recommendations) > 0.8 * most


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(NothingToLearnFrom, match="another task"):
        asked(filled(["new"]))
