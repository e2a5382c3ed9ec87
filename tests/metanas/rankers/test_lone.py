import numpy as np
import pytest

from metanas.rankers.lone import LoneSearch

EPOCHS = list(range(1, 31))


def curve(top: float, speed: float = 0.3, noise: int | None = None) -> list[float]:
    """From 0 before training to `top`."""
    x = np.arange(30.0)
    values = top * (1.0 - np.exp(-speed * x))
    if noise is not None:
        values[1:] += np.random.default_rng(noise).normal(0, 0.01, 29)
    return [float(value) for value in values]


def after(tops: list[float], *, unit: float = 1.0, shift: float = 0.0) -> LoneSearch:
    """A search whose first runs have finished."""
    search = LoneSearch("final")
    for index, top in enumerate(tops):
        values = [unit * value + shift for value in curve(top, noise=index)]
        search.add(index, None)
        search.extend(index, EPOCHS, values)
        search.finish(index)
    return search


def asked(search: LoneSearch, values: list[float], length: int) -> float | None:
    search.add("new", None)
    search.extend("new", EPOCHS[:length], values[:length])
    return search.chance("new")


def chance(search: LoneSearch, values: list[float], length: int) -> float:
    found = asked(search, values, length)
    assert found is not None
    return found


TOPS = [0.5, 0.7, 0.8, 0.6, 0.75]


def test_nothing_is_said_before_some_have_finished() -> None:
    assert asked(after(TOPS[:3]), curve(0.1), 10) is None
    assert asked(after(TOPS[:4]), curve(0.1), 10) is not None


def test_the_first_value_says_nothing() -> None:
    assert asked(after(TOPS), curve(0.1), 1) is None


def test_a_poor_run_has_little_chance_and_a_good_one_much() -> None:
    search = after(TOPS)
    assert chance(search, curve(0.4, noise=9), 12) < 0.01
    assert chance(search, curve(0.95, noise=9), 12) > 0.9


def test_a_slow_run_that_still_climbs_is_not_given_up() -> None:
    search = after(TOPS)
    slow = curve(1.5, speed=0.04)
    assert slow[9] < curve(0.6)[9]
    assert chance(search, slow, 10) > 0.05


@pytest.mark.parametrize(("unit", "shift"), [(100.0, 0.0), (1e-3, 5.0), (40.0, -200.0)])
def test_unit_and_origin_of_the_metric_do_not_matter(unit: float, shift: float) -> None:
    plain = chance(after(TOPS), curve(0.72, noise=9), 8)
    moved = [unit * value + shift for value in curve(0.72, noise=9)]
    other = chance(after(TOPS, unit=unit, shift=shift), moved, 8)
    assert other == pytest.approx(plain, rel=1e-3)


def test_a_run_that_diverged_has_no_chance() -> None:
    values = curve(0.9)
    values[5] = float("nan")
    assert chance(after(TOPS), values, 6) == 0.0


def test_forecasts_that_were_wrong_make_later_ones_less_sure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Curves with a late jump, which no family foresees."""
    late = [value + (0.3 if epoch > 15 else 0.0) for epoch, value in enumerate(curve(0.5))]

    def found() -> float:
        search = LoneSearch("final")
        for index in range(5):
            search.add(index, None)
            search.extend(index, EPOCHS, [value + 0.01 * index for value in late])
            search.finish(index)
        return chance(search, curve(0.5, noise=3), 12)

    honest = found()
    monkeypatch.setattr("metanas.rankers.lone.BELIEF", 1e9)
    assert honest > 1.5 * found()


def test_a_run_longer_than_any_finished_one_is_judged_by_where_it_stands() -> None:
    search = after(TOPS)
    search.add("long", None)
    search.extend("long", list(range(1, 61)), [*curve(0.95), *[0.95] * 30])
    assert search.chance("long") is None  # nothing is known of what is gained so late
    (score,), _ = (each[0] for each in search.scores(["long"]))
    assert score == pytest.approx(0.95)


def test_scores_order_runs_by_where_they_will_end() -> None:
    search = after(TOPS)
    for key, top in (("low", 0.3), ("high", 0.9)):
        search.add(key, None)
        search.extend(key, EPOCHS[:10], curve(top)[:10])
    scores, scales = search.scores(["low", "high", 2])
    assert scores[0].argsort().tolist() == [0, 2, 1]
    assert (scales > 0).all()


def test_a_search_needs_two_finished_runs() -> None:
    with pytest.raises(ValueError, match="at least two finished runs"):
        LoneSearch("final", startup=1)


@pytest.mark.parametrize("step", [10, 1000])
def test_steps_may_count_batches(step: int) -> None:
    many, new = LoneSearch("final"), curve(0.72, noise=9)
    steps = [step * epoch for epoch in EPOCHS]
    for index, top in enumerate(TOPS):
        many.add(index, None)
        many.extend(index, steps, curve(top, noise=index))
        many.finish(index)
    many.add("new", None)
    many.extend("new", steps[:8], new[:8])
    assert many.chance("new") == pytest.approx(chance(after(TOPS), new, 8))
    assert many.left("new") == pytest.approx(22 / 30)


def test_one_long_run_does_not_make_all_runs_long() -> None:
    search = after(TOPS)
    search.add("long", None)
    search.extend("long", list(range(1, 301)), [*curve(0.7), *[0.7] * 270])
    search.finish("long")
    chance(search, curve(0.72), 27)
    assert search.left("new") == pytest.approx(0.1)
