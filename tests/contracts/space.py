"""What every search space must do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from metadata_store.records import Architecture
from metanas.protocols import SearchSpace
from metanas.spaces.random_chooser import RandomChooser


class SpaceContract:
    """Subclass it with a fixture ``space``."""

    @pytest.fixture
    def architectures(self, space: SearchSpace) -> list[Architecture]:
        chooser = RandomChooser(np.random.default_rng(0))
        return [space.suggest(chooser) for _ in range(60)]

    def test_is_a_search_space(self, space: SearchSpace) -> None:
        assert isinstance(space, SearchSpace)

    def test_suggests_valid_architectures_of_itself(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            space.validate(architecture)
            assert architecture.space == space.name
            assert set(architecture.choices) <= set(space.domain)

    def test_suggestions_differ_and_repeat_with_the_seed(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        chooser = RandomChooser(np.random.default_rng(0))
        assert architectures == [space.suggest(chooser) for _ in architectures]
        assert len(set(architectures)) > len(architectures) // 2

    def test_domains_hold_every_categorical_choice(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            for name, choice in architecture.choices.items():
                values = space.domain[name]
                assert values is None or choice in values

    def test_refuses_another_spaces_architecture(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        stranger = Architecture("another space", architectures[0].choices)
        with pytest.raises(ValueError, match="another space"):
            space.validate(stranger)
        with pytest.raises(ValueError, match="another space"):
            space.encode(stranger)
        with pytest.raises(ValueError, match="another space"):
            space.describe_all([stranger])

    def test_refuses_an_unknown_choice(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        extended = Architecture(space.name, {**architectures[0].choices, "no such choice": 1})
        with pytest.raises(ValueError, match="choice"):
            space.validate(extended)

    def test_encodes_one_row_a_layer_in_the_unit_interval(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        encoded = space.encode_all(architectures)
        assert encoded.dtype == np.float32
        assert encoded.ndim == 3
        assert encoded.min() >= 0.0
        assert encoded.max() <= 1.0
        np.testing.assert_array_equal(encoded[3], space.encode(architectures[3]))

    def test_encodings_tell_different_architectures_apart(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        different = list(dict.fromkeys(architectures))
        encoded = space.encode_all(different).reshape(len(different), -1)
        assert len(np.unique(encoded, axis=0)) == len(different)

    def test_descriptions_are_those_of_the_canonical_form(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        described = space.describe_all(architectures)
        canonical = space.describe_all([space.canonical(a) for a in architectures])
        assert described.dtype == np.float32
        assert np.isfinite(described).all()
        np.testing.assert_array_equal(described, canonical)

    def test_the_canonical_form_is_its_own(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            canonical = space.canonical(architecture)
            space.validate(canonical)
            assert space.canonical(canonical) == canonical

    def test_a_mutation_changes_one_choice_and_stays_inside(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        rng = np.random.default_rng(1)
        for architecture in architectures:
            before = dict(architecture.choices)
            mutant = space.mutate(architecture, rng)
            space.validate(mutant)
            assert dict(architecture.choices) == before
            shared = before.keys() & mutant.choices.keys()
            changed = [name for name in shared if before[name] != mutant.choices[name]]
            assert len(changed) == 1

    def test_what_it_formats_it_parses(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            assert space.parse(space.format(architecture)) == architecture
            assert space.parse(architecture.json) == architecture

    @pytest.mark.parametrize("text", ["", "nonsense", "{", "[]", "{}", '{"a": null}'])
    def test_text_that_describes_nothing_is_refused(self, space: SearchSpace, text: str) -> None:
        with pytest.raises(ValueError, match=r"\S"):
            space.parse(text)

    def test_lists_all_architectures_once_or_none(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        listed = space.enumerate()
        if listed is not None:
            assert len(set(listed)) == len(listed)
            assert set(architectures) <= set(listed)

    def test_survives_pickling(self, space: SearchSpace, architectures: list[Architecture]) -> None:
        copy = pickle.loads(pickle.dumps(space))
        assert copy == space
        np.testing.assert_array_equal(
            copy.encode_all(architectures), space.encode_all(architectures)
        )
