import pytest

from metanas.spaces.darts_cell import Cell, canonical, describe, parse

ONE: Cell = (
    ((0, "skip_connect"), (1, "sep_conv_3x3")),
    ((0, "avg_pool_3x3"), (1, "dil_conv_3x3")),
    ((2, "skip_connect"), (3, "skip_connect")),
)
OTHER: Cell = (ONE[1], ONE[0], ((2, "skip_connect"), (3, "skip_connect")))


def test_cells_that_differ_in_names_only_have_one_form() -> None:
    assert canonical(ONE) == canonical(OTHER)
    assert canonical(canonical(ONE)) == canonical(ONE)
    assert describe(ONE) == describe(OTHER)


def test_a_node_takes_nodes_before_it() -> None:
    with pytest.raises(ValueError, match="nodes before it"):
        canonical((((0, "skip_connect"), (2, "skip_connect")),))


def test_what_is_no_cell_is_told() -> None:
    with pytest.raises(ValueError, match="joined by"):
        parse("normal[skip_connect~0]reduction[skip_connect~0]", 1)
