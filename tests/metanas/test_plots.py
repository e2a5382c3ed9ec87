import numpy as np

from metanas.plots import (
    CYCLE,
    Points,
    cells,
    learning_curves,
    objectives,
    predicted_against_measured,
    run_curves,
)
from metanas.spaces.darts import Darts
from metanas.spaces.darts_cell import OPERATIONS
from metanas.spaces.random_chooser import RandomChooser


def points(name: str, measured: list[float]) -> Points:
    predicted = np.arange(len(measured), dtype=float)
    return Points(name, predicted, np.ones(len(measured)), np.array(measured))


BAND = [0.90 + i / 1000 for i in range(20)]
CURVES = [((1, 2), (value - 0.05, value)) for value in BAND]
EMPTY = ((1, 2), (0.1, 0.1))


def drawn(*measured: float) -> str:
    return predicted_against_measured([points("s", list(measured))], metric="m", correlation=0.5)


def test_an_outlier_leaves_room_for_the_rest() -> None:
    text = drawn(*BAND, 0.1)
    assert "1 below" in text
    assert ">0.2<" not in text
    assert "below" not in drawn(*BAND)


def test_a_wide_spread_has_no_outliers() -> None:
    text = drawn(*np.linspace(0.1, 0.9, 20))
    assert "below" not in text
    assert ">0.2<" in text


def test_one_value_and_an_outlier_are_drawn() -> None:
    assert "1 below" in drawn(*[0.5] * 9, 0.1)
    assert "below" not in drawn(*[0.5] * 9)
    assert "below" not in drawn(0.5, 0.1)


def test_curves_below_the_rest_are_counted_not_drawn() -> None:
    named = {0: "1. best"}
    assert "1 below" in learning_curves([*CURVES, EMPTY], named, metric="m")
    assert "below" not in learning_curves(CURVES, named, metric="m")
    stopped = [False] * 20 + [True]
    assert "1 below" in run_curves([*CURVES, EMPTY], stopped, 19, metric="m")


def test_curves_that_rise_from_the_bottom_are_shown_whole() -> None:
    rising = [((1, 2), (0.1 + i / 100, value)) for i, value in enumerate(BAND)]
    assert "below" not in learning_curves([*rising, EMPTY], {0: "1. best"}, metric="m")


def test_curves_without_values_are_passed_over() -> None:
    gone = [((), ()), ((1,), (float("nan"),))]
    assert "<svg" in learning_curves([*CURVES, *gone], {0: "1. best"}, metric="m")
    assert "<svg" in learning_curves(gone, {0: "1. best"}, metric="m")


def test_more_sources_than_colours_share_one() -> None:
    groups = [points(f"source-{i}", [0.1, 0.2]) for i in range(len(CYCLE) + 3)]
    text = predicted_against_measured(groups, metric="m", correlation=None)
    assert f"source-{len(CYCLE) - 1}" in text
    assert f"source-{len(CYCLE)}" not in text
    assert text.count(">others<") == 1


def test_a_source_whose_points_are_all_out_of_sight_is_still_named() -> None:
    text = predicted_against_measured(
        [points("most", BAND), points("low", [0.1])], metric="m", correlation=0.5
    )
    assert ">low<" in text
    assert "1 below" in text


def test_a_cell_of_many_nodes_has_a_legend_and_its_arcs_are_all_there() -> None:
    space = Darts()
    architecture = space.suggest(RandomChooser(np.random.default_rng(0)))
    edges = space.edges(architecture)
    (text,) = cells([edges], OPERATIONS)
    used = {edge.operation for edge in edges}
    assert all(text.count(f">{name.replace('_', ' ')}<") == 1 for name in used)
    (less,) = cells([edges[:-1]], OPERATIONS)
    assert text.count("<path") > less.count("<path")


def test_each_further_objective_has_a_picture_and_a_poor_one_squeezes_nothing() -> None:
    trials = [(score, 1000.0 + at, 0.5) for at, score in enumerate(BAND)]
    text = objectives([*trials, (0.1, 10.0, 0.1)], ("score", "-params", "-latency_s"), [0, 20])
    assert all(f">{name}<" in text for name in ("score", "params", "latency_s"))
    assert "1 below" in text
    assert ">0.2<" not in text


def test_an_objective_that_is_to_be_small_first_is_shown_whole() -> None:
    text = objectives([(at, at) for at in (1.0, *range(100, 120))], ("-params", "score"), [0])
    assert "below" not in text
