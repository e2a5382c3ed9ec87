import math
import pickle
from typing import Any

import pytest
from hypothesis import given

from metadata_store.records import (
    FLOAT32_MAX,
    Architecture,
    LearningCurve,
    Task,
    Trial,
    TrialState,
    architecture_key,
)
from tests.contracts.any_trial import architectures, trials
from tests.contracts.trials import a_trial

TASK: dict[str, Any] = {
    "name": "flowers",
    "kind": "npz",
    "data": "flowers.npz",
    "n_samples": 9,
    "n_classes": 3,
    "input_shape": (1, 8, 8),
    "dcn": 0.5,
    "features": {"b": 1.0, "a": math.nan},
}


class TestTask:
    @pytest.mark.parametrize(
        ("field", "says"),
        [
            ({"name": ""}, "needs a name"),
            ({"kind": ""}, "needs a name and a kind"),
            ({"name": "a\0b"}, "no NUL"),
            ({"data": "\ud800"}, "lone surrogate"),
            ({"n_samples": -1}, "not be negative, got -1"),
            ({"n_classes": 1}, "at least two classes, got 1"),
            ({"input_shape": (3, 0)}, "at least 1"),
            ({"dcn": 1.5}, r"lies in \[0, 1\], got 1.5"),
            ({"dcn": math.nan}, r"lies in \[0, 1\]"),
        ],
    )
    def test_a_task_that_cannot_be_is_refused(self, field: dict, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            Task(**TASK | field)

    def test_where_data_lies_may_be_a_long_text(self) -> None:
        assert len(Task(**TASK | {"data": "d" * 10_000}).data) == 10_000

    def test_tasks_compare_by_value_nan_included(self) -> None:
        other = Task(**TASK | {"features": {"a": float("nan"), "b": 1.0}, "input_shape": [1, 8, 8]})
        assert Task(**TASK) == other
        assert hash(Task(**TASK)) == hash(other)
        for field in ({"dcn": None}, {"features": {}}, {"n_classes": None}, {"name": "trees"}):
            assert Task(**TASK) != Task(**TASK | field)

    def test_a_task_survives_pickling(self) -> None:
        assert pickle.loads(pickle.dumps(Task(**TASK))) == Task(**TASK)


class TestArchitecture:
    def test_the_order_of_choices_does_not_matter(self) -> None:
        a, b = Architecture("s", {"x": 1, "y": "a"}), Architecture("s", {"y": "a", "x": 1})
        assert a == b
        assert (a.key, a.json, hash(a)) == (b.key, b.json, hash(b))
        assert a.json == '{"x": 1, "y": "a"}'

    def test_space_and_choices_tell_architectures_apart(self) -> None:
        keys = {
            Architecture(space, {"x": value}).key
            for space in ("s", "t")
            for value in (1, 1.0, True, "1")
        }
        assert len(keys) == 8

    @given(architecture=architectures)
    def test_any_architecture_is_read_back_from_its_text(self, architecture: Architecture) -> None:
        read = Architecture.from_json(architecture.space, architecture.json)
        assert read == architecture
        assert dict(read.choices) == dict(architecture.choices)
        assert read.key == architecture_key(architecture.space, architecture.json)

    @pytest.mark.parametrize("text", ["", "[]", "3", '{"a": null}', "{" * 9, "[" * 100_000])
    def test_text_that_is_no_architecture_is_a_value_error(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            Architecture.from_json("s", text)

    @pytest.mark.parametrize("choice", [None, [1], math.nan, math.inf])
    def test_a_choice_is_a_string_a_finite_number_or_a_boolean(self, choice: Any) -> None:
        with pytest.raises(ValueError, match="choice 'a' must be"):
            Architecture("s", {"a": choice})

    def test_choices_cannot_be_changed(self) -> None:
        with pytest.raises(TypeError):
            Architecture("s", {"a": 1}).choices["a"] = 2


class TestLearningCurve:
    @pytest.mark.parametrize(
        ("epochs", "values", "says"),
        [
            ((1, 2), (0.5,), "got 2 epochs and 1 values"),
            ((2, 1), (0.5, 0.5), "increase from 1"),
            ((1, 1), (0.5, 0.5), "increase from 1"),
            ((0, 1), (0.5, 0.5), "increase from 1"),
            ((1, 2**31), (0.5, 0.5), "fits in 32 bits"),
            ((1,), (math.inf,), "float32 values"),
            ((1,), (1e39,), "float32 values"),
        ],
    )
    def test_a_curve_that_cannot_be_is_refused(
        self, epochs: tuple, values: tuple, says: str
    ) -> None:
        with pytest.raises(ValueError, match=says):
            LearningCurve("accuracy", epochs, values)

    def test_values_are_kept_in_float32_precision(self) -> None:
        values = LearningCurve("accuracy", (1, 2), (0.1, FLOAT32_MAX)).values
        assert values == (0.10000000149011612, FLOAT32_MAX)

    def test_the_best_is_the_highest_finite_value(self) -> None:
        assert LearningCurve("f1", (1, 2, 3), (math.nan, 0.5, 0.25)).best == 0.5
        assert LearningCurve("f1", (1,), (math.nan,)).best is None

    def test_curves_compare_by_value_nan_included(self) -> None:
        assert LearningCurve("f1", (1,), (math.nan,)) == LearningCurve("f1", (1,), (math.nan,))
        assert LearningCurve("f1", (1,), (math.nan,)) != LearningCurve("f1", (1,), (0.0,))
        assert LearningCurve("f1", (1,), (0.0,)) != LearningCurve("f1", (2,), (0.0,))


class TestTrial:
    @pytest.mark.parametrize(
        ("field", "says"),
        [
            ({"task": ""}, "needs a task and a source"),
            ({"source": ""}, "needs a task and a source"),
            ({"source": "\0"}, "no NUL"),
            ({"seed": 2**31}, "fits in 32 bits"),
            ({"state": "running"}, "running"),
            ({"curve": LearningCurve("f1", (), ())}, "only a failed trial"),
            ({"extras": {"a": True}}, "'a' must be an int or a float"),
            ({"extras": {"a": "1"}}, "'a' must be an int or a float"),
        ],
    )
    def test_a_trial_that_cannot_be_is_refused(self, field: dict, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            a_trial(**field)

    def test_only_a_completed_trial_has_a_score(self) -> None:
        assert a_trial().score == 0.75
        assert a_trial(state=TrialState.STOPPED).score is None
        assert a_trial(state=TrialState.FAILED).score is None

    @given(trial=trials())
    def test_any_trial_survives_pickling(self, trial: Trial) -> None:
        again = pickle.loads(pickle.dumps(trial))
        assert again == trial
        assert hash(again) == hash(trial)
