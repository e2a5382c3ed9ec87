import numpy as np
import pytest

from metadata_store.records import Architecture
from metanas.protocols import SearchSpace
from metanas.spaces.listed import NEAR, Listed, restricted
from metanas.spaces.nasbench201 import NasBench201
from metanas.spaces.random_chooser import RandomChooser
from tests.contracts.searches import SPACE
from tests.contracts.space import SpaceContract


def some(space: SearchSpace, count: int) -> tuple[Architecture, ...]:
    chooser = RandomChooser(np.random.default_rng(3))
    return tuple(dict.fromkeys(space.suggest(chooser) for _ in range(count)))


class TestListed(SpaceContract):
    @pytest.fixture(params=[SPACE, NasBench201()])
    def space(self, request: pytest.FixtureRequest) -> SearchSpace:
        return Listed(request.param, some(request.param, 400))

    def test_a_mutation_changes_one_choice_and_stays_inside(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        """Only where a listed one is so near; here few are."""
        rng = np.random.default_rng(1)
        for architecture in architectures:
            assert space.mutate(architecture, rng) in (space.enumerate() or ())


def test_only_listed_architectures_are_suggested_mutated_to_and_enumerated() -> None:
    listed = some(SPACE, 20)
    space = Listed(SPACE, listed)
    rng = np.random.default_rng(0)
    chooser = RandomChooser(rng)
    found = [space.suggest(chooser) for _ in range(100)]
    mutants = [space.mutate(each, rng) for each in found]
    assert set(found) <= set(listed)
    assert set(mutants) <= set(listed)
    assert all(one != other for one, other in zip(found, mutants, strict=True))
    assert list(space.enumerate()) == list(listed)


def test_the_nearest_is_the_one_encoded_most_alike() -> None:
    near = Architecture("mini", {"kind": "a", "size": 4, "rate": 0.1})
    far = Architecture("mini", {"kind": "c", "size": 1, "rate": 1.0})
    space = Listed(SPACE, (far, near))
    assert space.nearest(Architecture("mini", {"kind": "a", "size": 5, "rate": 0.1})) == near
    assert space.nearest(far) == far


def test_neighbours_are_those_encoded_most_alike() -> None:
    listed = some(NasBench201(), 300)
    space, rng = Listed(NasBench201(), listed), np.random.default_rng(1)
    codes = space.encode_all(listed).reshape(len(listed), -1)
    for architecture in some(NasBench201(), 10):
        apart = np.abs(codes - space.encode(architecture).reshape(-1)).sum(axis=1)
        assert apart[listed.index(space.nearest(architecture))] == apart.min()
        child = space.mutate(architecture, rng)
        assert apart[listed.index(child)] <= np.sort(apart)[NEAR]


def test_a_space_measured_whole_stays_itself() -> None:
    whole = NasBench201()
    every = whole.enumerate()
    assert restricted(whole, every) is whole
    assert isinstance(restricted(whole, every[:100]), Listed)


def test_nothing_listed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        Listed(SPACE, ())
