from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.options import Options, compose, parse

CHARACTERS = st.characters(blacklist_categories=["Cs", "Cc"])
LOCATIONS = st.text(CHARACTERS, min_size=1, max_size=20)
OPTIONS = st.builds(
    Options,
    size=st.none() | st.integers(1, 1024),
    limit=st.none() | st.integers(4, 10**6),
    classes=st.just(()) | st.lists(st.text(CHARACTERS, min_size=1), min_size=2).map(tuple),
    grey=st.booleans(),
    seed=st.integers(0, 10**9),
    noise=st.floats(0.0, 1.0),
    val=st.floats(0.01, 0.99),
    own=st.dictionaries(
        st.sampled_from(["depth", "within"]), st.text(CHARACTERS, min_size=1), max_size=2
    ),
)


@given(LOCATIONS, OPTIONS)
def test_what_is_composed_is_parsed_back(location: str, options: Options) -> None:
    assert parse(compose(location, options), ["depth", "within"]) == (location, options)


def test_a_location_without_options_is_left_as_it_is() -> None:
    assert parse("/data/c#/images", []) == ("/data/c#/images", Options())
    assert compose("/data/images", Options()) == "/data/images"


def test_options_are_read_from_the_fragment() -> None:
    location, options = parse("/data/a#size=28&limit=2000&classes=0,3&grey=1&noise=0.1", [])
    assert location == "/data/a"
    assert options == Options(size=28, limit=2000, classes=("0", "3"), grey=True, noise=0.1)


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("sise=28", "unknown option 'sise'.*did you mean 'size'"),
        ("size=big", "size must be a whole number, got 'big'"),
        ("size=0", "size must be 1 to 1024 pixels, got 0"),
        ("limit=1", "limit must be at least 4 images, got 1"),
        ("noise=2", r"noise is a share in \[0, 1\], got 2.0"),
        ("noise=nan", r"noise is a share in \[0, 1\], got nan"),
        ("val=0", r"val is a share in \(0, 1\), got 0.0"),
        ("noise=much", "noise must be a number, got 'much'"),
        ("grey=perhaps", "grey must be 1 or 0, got 'perhaps'"),
        ("classes=a", "need at least two classes, got only 'a'"),
        ("seed=-1", "seed must not be negative, got -1"),
        ("size=8&size=9", "option 'size' needs one value"),
        ("size=8&limit", "unknown option|needs one value"),
        ("size=", "option 'size' needs one value"),
    ],
)
def test_a_wrong_option_is_named(fragment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(f"/data#{fragment}", [])


def test_own_options_are_known_to_their_kind_only() -> None:
    assert parse("x#depth=2", ["depth"])[1].integer("depth", None) == 2
    with pytest.raises(ValueError, match="unknown option 'depth'"):
        parse("x#depth=2", [])


def test_own_options_are_checked_when_they_are_asked_for() -> None:
    options = parse("x#depth=0&difficulty=3", ["depth", "difficulty"])[1]
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        options.integer("depth", None)
    with pytest.raises(ValueError, match=r"difficulty must lie in \[0, 1\], got 3.0"):
        options.share("difficulty", 0.5)
    assert options.integer("other", 5) == 5
