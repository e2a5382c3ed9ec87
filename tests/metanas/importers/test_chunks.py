from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from metadata_store.filters import screen
from metanas.importers.chunks import Row, chunks, row


def example(seed: int = 0) -> Row:
    return row(
        task="t",
        metric="m",
        space="s",
        choices={"b": 1, "a": "x"},
        source="x",
        epochs=[1, 2],
        values=[0.5, math.nan],
        seed=seed,
        extras={"known": 2.0, "unknown": None},
    )


def test_a_row_has_sorted_choices_known_extras_and_no_time_unless_told() -> None:
    (table,) = chunks([example()], where="here")
    (trial,) = screen(table, {})[0]
    assert trial.architecture.json == '{"a": "x", "b": 1}'
    assert trial.extras == {"known": 2.0}
    assert math.isnan(trial.seconds)
    assert trial.curve.values[0] == 0.5
    assert math.isnan(trial.curve.values[1])


def test_chunks_keep_their_size_and_order() -> None:
    tables = list(chunks((example(seed) for seed in range(25)), where="here", size=10))
    assert [table.num_rows for table in tables] == [10, 10, 5]
    assert [seed for table in tables for seed in table["seed"].to_pylist()] == list(range(25))


def test_nothing_is_read_ahead() -> None:
    asked = []

    def rows() -> Iterator[Row]:
        for seed in range(100):
            asked.append(seed)
            yield example(seed)

    next(chunks(rows(), where="here", size=10))
    assert len(asked) == 10


def test_a_seed_too_large_is_left_to_the_filter() -> None:
    (table,) = chunks([example(2**40)], where="here")
    assert screen(table, {})[1] == {"seed out of range": 1}


@pytest.mark.parametrize("seed", ["one", 2**80, [1]])
def test_a_value_of_another_type_is_an_error_that_names_the_source(seed: object) -> None:
    with pytest.raises(ValueError, match=r"^here: a value does not fit"):
        list(chunks([{**example(), "seed": seed}], where="here"))
