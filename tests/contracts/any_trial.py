"""Any trial at all, for property tests."""

import math

from hypothesis import strategies as st

from metadata_store.records import INT64_MAX, Architecture, LearningCurve, Trial, TrialState

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)
texts = st.text(max_size=8)  # also NUL and lone surrogates: JSON escapes them
numbers = st.one_of(st.floats(), st.integers(-(10**30), 10**30))
whole = st.integers(-INT64_MAX, INT64_MAX)
choices = st.one_of(st.booleans(), whole, st.floats(allow_nan=False, allow_infinity=False), texts)
architectures = st.builds(Architecture, names, st.dictionaries(texts, choices, max_size=3))


@st.composite
def curves(draw: st.DrawFn, min_size: int = 0) -> LearningCurve:
    """Any curve of up to six points."""
    epochs = draw(st.sets(st.integers(1, 2**31 - 1), min_size=min_size, max_size=6))
    value = st.one_of(st.floats(width=32, allow_infinity=False), st.just(math.nan))
    size = len(epochs)
    values = draw(st.lists(value, min_size=size, max_size=size))
    return LearningCurve(draw(st.just("") | names), tuple(sorted(epochs)), tuple(values))


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    """Any trial that the record allows."""
    state = draw(st.sampled_from(TrialState))
    return Trial(
        task=draw(names),
        architecture=draw(architectures),
        curve=draw(curves(min_size=0 if state is TrialState.FAILED else 1)),
        state=state,
        seed=draw(st.integers(-(2**31), 2**31 - 1)),
        source=draw(names),
        seconds=draw(st.floats()),
        extras=draw(st.dictionaries(texts, numbers, max_size=3)),
    )


def distinct(found: list[Trial]) -> list[Trial]:
    """The first trial of each identity, in order."""
    return list({trial.identity: trial for trial in reversed(found)}.values())[::-1]
