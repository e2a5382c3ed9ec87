import math

import numpy as np
import pytest

from metadata_store.records import Architecture, Task
from metanas.spaces import space_of
from metanas.spaces.random_chooser import RandomChooser
from metanas.spaces.table import TableSpace
from tests.contracts.space import SpaceContract
from tests.contracts.trials import a_trial


def table(*rows: dict[str, object]) -> TableSpace:
    architectures = [Architecture("made up", row) for row in rows]  # type: ignore[arg-type]
    return TableSpace.of([a_trial(architecture=architecture) for architecture in architectures])


CATEGORICAL = [
    {"op_1": a, "op_2": b, "skip": c}
    for a in ("gcn", "gat", "fc")
    for b in ("gcn", "gat", "fc")
    for c in (True, False)
] + [{"op_1": "fc", "op_2": "fc", "skip": False}]

MIXED = [
    {
        "optimiser": "sgd" if i % 2 else "adam",
        "rate": 10.0 ** -(i / 10),
        "layers": 1 + i % 5,
        **({"momentum": 0.5 + i / 100} if i % 2 else {}),
        **({"warm": i} if i % 3 == 0 else {}),
    }
    for i in range(40)
]


class TestTableOfCategories(SpaceContract):
    @pytest.fixture
    def space(self) -> TableSpace:
        return table(
            *[
                dict(row, op_3="gin" if i % 2 else "fc", op_4=i % 7 > 3)
                for i, row in enumerate(CATEGORICAL)
            ]
        )

    def test_lists_every_combination(self) -> None:
        assert len(table(*CATEGORICAL).enumerate() or ()) == 18

    def test_describes_how_often_choices_alike_take_each_value(self) -> None:
        space = table(*CATEGORICAL)
        one = Architecture("made up", {"op_1": "gcn", "op_2": "fc", "skip": True})
        other = Architecture("made up", {"op_1": "fc", "op_2": "gcn", "skip": True})
        described = space.describe_all([one, other])
        np.testing.assert_array_equal(described[0, -3:], described[1, -3:])
        assert described[0, -3:].sum() == 2.0


class TestTableOfNumbersAndConditions(SpaceContract):
    @pytest.fixture
    def space(self) -> TableSpace:
        return table(*MIXED)

    def test_tells_kinds_of_choices_by_their_values(self, space: TableSpace) -> None:
        kinds = {parameter.name: parameter for parameter in space.parameters}
        assert kinds["optimiser"].values == ("adam", "sgd")
        assert kinds["layers"].integer
        assert not kinds["rate"].integer
        assert kinds["rate"].log
        assert not kinds["layers"].log

    def test_a_choice_that_another_decides_is_there_only_then(self, space: TableSpace) -> None:
        chooser = RandomChooser(np.random.default_rng(0))
        for _ in range(50):
            choices = space.suggest(chooser).choices
            assert ("momentum" in choices) == (choices["optimiser"] == "sgd")

    def test_a_choice_that_nothing_decides_is_sometimes_there(self, space: TableSpace) -> None:
        chooser = RandomChooser(np.random.default_rng(0))
        there = ["warm" in space.suggest(chooser).choices for _ in range(50)]
        assert any(there)
        assert not all(there)

    def test_is_not_listed(self, space: TableSpace) -> None:
        assert space.enumerate() is None

    def test_a_number_outside_the_range_is_encoded_at_its_end(self, space: TableSpace) -> None:
        inside = Architecture("made up", {**MIXED[0], "layers": 5})
        beyond = Architecture("made up", {**MIXED[0], "layers": 50})
        np.testing.assert_array_equal(space.encode(beyond), space.encode(inside))
        with pytest.raises(ValueError, match=r"layers must lie in \[1, 5\], got 50"):
            space.validate(beyond)


class TestTableSpace:
    def test_numbers_spread_evenly_are_not_on_a_log_scale(self) -> None:
        even, log = table(*[{"a": i, "b": 2.0**i} for i in range(1, 30)]).parameters
        assert not even.log
        assert log.log

    def test_true_is_not_one(self) -> None:
        space = table({"a": True}, {"a": "x"})
        with pytest.raises(ValueError, match="must be one of"):
            space.validate(Architecture("made up", {"a": 1}))

    def test_a_choice_with_one_value_stays(self) -> None:
        space = table({"a": 3})
        architecture = Architecture("made up", {"a": 3})
        assert space.mutate(architecture, np.random.default_rng(0)) == architecture
        assert space.encode(architecture).tolist() == [[1.0, 0.5]]

    def test_a_missing_choice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="needs a choice 'b'"):
            table({"a": 1, "b": 2}).validate(Architecture("made up", {"a": 1}))

    def test_a_category_never_seen_is_encoded_as_none_of_the_known(self) -> None:
        space = table({"a": "x"}, {"a": "y"})
        assert space.encode(Architecture("made up", {"a": "z"})).tolist() == [[1.0, 0.0, 0.0]]

    def test_has_no_networks(self) -> None:
        space = table({"a": 1})
        with pytest.raises(ValueError, match="no networks"):
            space.build(Architecture("made up", {"a": 1}), Task.table("t"))

    def test_needs_trials(self) -> None:
        with pytest.raises(ValueError, match="got none"):
            TableSpace.of([])

    def test_needs_to_know_which_of_several_spaces_is_meant(self) -> None:
        trials = [a_trial(architecture=Architecture(name, {"a": 1})) for name in ("s", "t")]
        with pytest.raises(ValueError, match="got s, t"):
            TableSpace.of(trials)
        assert TableSpace.of(trials, "t").name == "t"

    def test_a_log_scale_is_encoded_evenly(self) -> None:
        space = table(*[{"b": 10.0**i} for i in range(5)])
        rows = space.describe_all([Architecture("made up", {"b": 10.0**i}) for i in range(5)])
        np.testing.assert_allclose(rows[:, 0], [0.0, 0.25, 0.5, 0.75, 1.0], atol=1e-6)
        assert math.isclose(space.parameters[0].high, 1e4)


class TestSpaceOf:
    def test_a_registered_name_is_that_space(self) -> None:
        architecture = Architecture("nasbench201", {"op": 1})
        assert space_of([a_trial(architecture=architecture)]).name == "nasbench201"

    def test_any_other_is_a_table(self) -> None:
        assert isinstance(space_of([a_trial()]), TableSpace)

    def test_several_spaces_need_a_name(self) -> None:
        trials = [a_trial(), a_trial(architecture=Architecture("other", {"a": 1}))]
        with pytest.raises(ValueError, match="cells, other"):
            space_of(trials)
        assert space_of(trials, "other").name == "other"
