import numpy as np
import pytest

from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from metanas.protocols import SearchSpace
from metanas.search.asked import asked
from metanas.spaces.listed import Listed
from metanas.spaces.nasbench201 import NasBench201
from metanas.spaces.random_chooser import RandomChooser
from metanas.spaces.table import TableSpace
from tests.contracts.searches import SPACE


def conditional() -> TableSpace:
    rows = [{"a": 1, "kind": "x"}, {"a": 3, "kind": "x", "b": 0.5}, {"a": 2, "kind": "y"}]
    curve = LearningCurve("m", (1,), (0.1,))
    return TableSpace.of(
        [
            Trial("t", Architecture("c", row), curve, TrialState.COMPLETED, 0, "tests")
            for row in rows
        ]
    )


@pytest.mark.parametrize("space", [SPACE, NasBench201(), conditional()])
def test_the_answers_give_the_architecture_again(space: SearchSpace) -> None:
    chooser = RandomChooser(np.random.default_rng(0))
    for _ in range(30):
        architecture = space.suggest(chooser)
        answers = asked(space, architecture)
        assert set(architecture.choices) <= set(answers)
        for name, choice in architecture.choices.items():
            assert answers[name] == choice


def test_whether_a_choice_is_there_is_among_the_answers() -> None:
    space = conditional()
    with_b = Architecture("c", {"a": 1, "kind": "x", "b": 0.5})
    assert asked(space, with_b)["b?"] is True
    assert asked(space, Architecture("c", {"a": 1, "kind": "x"}))["b?"] is False


def test_an_architecture_that_is_not_listed_gives_the_nearest_one() -> None:
    listed = Architecture("mini", {"kind": "a", "size": 3, "rate": 0.1})
    far = Architecture("mini", {"kind": "c", "size": 8, "rate": 1.0})
    near = Architecture("mini", {"kind": "a", "size": 4, "rate": 0.2})
    space = Listed(SPACE, (listed, far))
    assert asked(space, near) == dict(listed.choices)


def test_an_architecture_without_a_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="no choice 'rate'"):
        asked(SPACE, Architecture("mini", {"kind": "a", "size": 3}))
