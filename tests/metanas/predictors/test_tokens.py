from metadata_store.records import Architecture
from metanas.predictors.tokens import MOST_NUMBERS, Tokens
from metanas.spaces import NasBench201
from metanas.spaces.table import TableSpace
from tests.contracts.predictor import trial
from tests.contracts.strategy import some_cells


def test_cells_are_read_back() -> None:
    cells = some_cells(20)
    tokens = Tokens(NasBench201(), cells)
    ids = tokens.encode(cells)
    assert ids.shape == (20, 6)
    assert tokens.allowed.shape == (6, 5)
    assert [tokens.decode(row) for row in ids] == cells


def test_numbers_become_the_nearest_of_those_seen() -> None:
    seen = [Architecture("mlp", {"rate": 0.01 * row, "kind": "a"}) for row in range(1, 50)]
    space = TableSpace.of(trial("one", each, 0.5) for each in seen)
    tokens = Tokens(space, seen)
    assert int(tokens.allowed[list(space.domain).index("rate")].sum()) == MOST_NUMBERS
    back = tokens.decode(tokens.encode([seen[20]])[0])
    assert back is not None
    assert abs(float(back.choices["rate"]) - float(seen[20].choices["rate"])) < 0.03


def test_a_choice_that_is_absent_is_a_token_too() -> None:
    seen = [Architecture("mlp", {"kind": "a"}), Architecture("mlp", {"kind": "b", "size": 3})]
    space = TableSpace.of([trial("one", each, 0.5) for each in seen])
    tokens = Tokens(space, seen)
    assert [tokens.decode(row) for row in tokens.encode(seen)] == seen
