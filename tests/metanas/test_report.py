import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.plots import Points
from metanas.report import cells, mean_scores, rank_correlation, task_report, without_repeats
from metanas.settings import Named, ZeroShotSettings
from metanas.spaces.nasbench201 import NasBench201
from metanas.spaces.random_chooser import RandomChooser

SPACE = NasBench201(width=4, cells=1)
SETTINGS = ZeroShotSettings(predictor=Named("ridge"), top=3)
NEW = Task("<new> & shiny", "synthetic", "blobs", 90, 3, (1, 8, 8), 0.4, {"log_classes": 1.1})


def filled(*names: str) -> MemoryStore:
    store = MemoryStore()
    rng = np.random.default_rng(1)
    for name in names:
        store.add_task(Task(name, "synthetic", "blobs", 90, 3, (1, 8, 8), 0.5, {}))
        for _ in range(12):
            values = tuple(sorted(rng.uniform(size=3)))
            cell = SPACE.suggest(RandomChooser(rng))
            curve = LearningCurve("val_accuracy", (1, 2, 3), values)
            store.add_trials([Trial(name, cell, curve, TrialState.COMPLETED, 0, "tests")])
    return store


def document(store: MemoryStore, task: Task = NEW) -> str:
    return task_report(SETTINGS, store, task, SPACE).html()


class _Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "br", "path", "use", "rect", "line"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"path", "use"}:
            assert self.open.pop() == tag


def test_the_report_is_one_whole_file_that_fetches_nothing() -> None:
    text = document(filled("a", "b"))
    parser = _Balanced()
    parser.feed(text)
    assert parser.open == []
    fetched = re.findall(r'(?:src|href)="(?!#)([^"]*)"', text)
    assert [each for each in fetched if not each.startswith("#")] == []
    assert "<script" not in text


def test_names_are_escaped() -> None:
    text = document(filled("a"))
    assert "<new>" not in text
    assert "&lt;new&gt; &amp; shiny" in text


def test_recommended_cells_and_neighbours_are_drawn() -> None:
    text = document(filled("source-task"))
    assert text.count('<div class="card">') == 3
    assert "source-task" in text
    assert "nor conv 3x3" in text


def test_a_task_with_trials_shows_them_against_the_prediction() -> None:
    store = filled("a", "b")
    text = document(store, store.task("b"))
    assert "Predicted against measured" in text
    best = max(trial.score or 0 for trial in store.trials(task="b"))
    assert f"{best:.4f}" in text


def test_without_other_tasks_the_report_says_that_nothing_can_be_recommended() -> None:
    store = filled("only")
    text = document(store, store.task("only"))
    assert "nothing can be recommended yet" in text
    assert "Measured" in text


def test_scores_are_averaged_over_the_seeds_of_an_architecture() -> None:
    cell = SPACE.suggest(RandomChooser(np.random.default_rng(0)))
    other = SPACE.mutate(cell, np.random.default_rng(0))
    rows = [(cell, 0.5, 0), (cell, 0.7, 1), (other, float("nan"), 0)]
    trials = Trials.of(
        Trial(
            "t", each, LearningCurve("val_accuracy", (1,), (value,)), TrialState.COMPLETED, s, "x"
        )
        for each, value, s in rows
    )
    assert mean_scores(trials)[0] == pytest.approx(0.6)
    assert np.isnan(mean_scores(trials)[1])


def test_two_reports_of_the_same_store_are_equal(tmp_path: Path) -> None:
    store = filled("a")
    first, second = (re.sub(r"scored in\s+[0-9.]+ s", "", document(store)) for _ in range(2))
    assert first == second


def trial(cell: Architecture, values: tuple[float, ...], source: str, seed: int = 0) -> Trial:
    curve = LearningCurve("val_accuracy", tuple(range(1, len(values) + 1)), values)
    return Trial("b", cell, curve, TrialState.COMPLETED, seed, source)


def failed(cell: Architecture, source: str) -> Trial:
    curve = LearningCurve("val_accuracy", (), ())
    return Trial("b", cell, curve, TrialState.FAILED, 0, source)


def some(count: int) -> list[Architecture]:
    rng = np.random.default_rng(3)
    return [SPACE.suggest(RandomChooser(rng)) for _ in range(count)]


def points(name: str, predicted: list[float], measured: list[float]) -> Points:
    return Points(name, np.array(predicted), np.zeros(len(predicted)), np.array(measured))


def test_a_replay_of_a_table_is_no_measurement_of_its_own() -> None:
    a, b = some(2)
    rows = [
        (trial(a, (0.1, 0.5), "search:s", 2), False),
        (trial(a, (0.1, 0.5), "train:width=8"), True),
        (trial(b, (0.1, 0.5), "search:s"), True),
        (trial(a, (0.1, 0.6), "search:s", 1), True),
        # A lucky coincidence of two recipes.
        (trial(a, (0.1, 0.5), "train:width=16"), True),
        (failed(b, "search:s"), True),
        (failed(b, "search:t"), True),
        (trial(b, (0.1, 0.5), "search:t"), False),
    ]
    kept = without_repeats(Trials.of(each for each, _ in rows))
    assert [(each.source, each.seed, len(each.curve)) for each in kept] == [
        (each.source, each.seed, len(each.curve)) for each, own in rows if own
    ]
    assert len(without_repeats(Trials.of([]))) == 0


def test_a_report_says_how_many_trials_there_are_and_how_many_repeat_them() -> None:
    store = filled("a", "b")
    known = list(store.trials(task="b"))
    store.add_trials(trial(each.architecture, each.curve.values, "search:s") for each in known[:4])
    text = document(store, store.task("b"))
    assert "12 trials in space nasbench201; 4 more only repeat some of them." in text
    assert "The best 10 of 12." in text
    assert "<h2>Learning curves</h2>" in text


def test_one_metric_is_shown_that_of_most_scores_and_what_is_left_out_is_told() -> None:
    store = filled("a")
    store.add_task(Task("b", "synthetic", "blobs", 90, 3, (1, 8, 8), 0.5, {}))
    cells = some(12)

    def of(metric: str, cell: Architecture, value: float, state: TrialState) -> Trial:
        return Trial("b", cell, LearningCurve(metric, (1,), (value,)), state, 0, metric)

    nan = float("nan")
    store.add_trials(
        [
            *(of("val_accuracy", each, 0.5, TrialState.COMPLETED) for each in cells[:3]),
            *(of("f1<b>", each, 0.9, TrialState.COMPLETED) for each in cells[3:5]),
            *(of("f1<b>", each, nan, TrialState.FAILED) for each in cells[5:9]),
            of("neg_loss", cells[9], -1.0, TrialState.COMPLETED),
        ]
    )
    text = document(store, store.task("b"))
    assert "3 trials in space nasbench201; left out because they are not of val_accuracy: " in text
    assert "6 of f1&lt;b&gt;" in text
    assert "1 of neg_loss" in text
    assert "best val_accuracy" in text
    assert "left out" not in document(store, store.task("a"))


def test_sources_are_compared_with_themselves_only() -> None:
    longer = points("longer", [1, 2, 3, 4], [0.8, 0.81, 0.82, 0.83])
    shorter = points("shorter", [5, 6, 7], [0.3, 0.4, 0.35])
    assert rank_correlation([longer]) == pytest.approx(1.0)
    assert rank_correlation([longer, shorter]) == pytest.approx((4 * 1.0 + 3 * 0.5) / 7)


def test_without_an_order_there_is_no_correlation() -> None:
    equal = points("equal", [1, 2, 3], [0.5, 0.5, 0.5])
    few = points("few", [1, 2], [0.1, 0.2])
    assert rank_correlation([equal, few]) is None
    store = filled("a")
    store.add_task(Task("b", "synthetic", "blobs", 90, 3, (1, 8, 8), 0.5, {}))
    store.add_trials(trial(each, (0.5,), "tests") for each in some(6))
    text = document(store, store.task("b"))
    assert "(Spearman): not defined here" in text
    assert "nan" not in re.sub("<[^>]*>", "", text)


def test_a_plot_tells_sources_apart_and_a_card_names_the_one_of_its_score() -> None:
    store = filled("a")
    store.add_task(Task("b", "synthetic", "blobs", 90, 3, (1, 8, 8), 0.5, {}))
    found = task_report(SETTINGS, store, store.task("b"), SPACE).zero_shot
    assert found is not None
    picked = found.recommendations[0].architecture
    store.add_trials(
        trial(each, (0.2 + i / 50,), "train:width=4") for i, each in enumerate(some(5))
    )
    store.add_trials([trial(picked, (0.7,), "train:width=8"), trial(picked, (0.6,), "search:s")])
    text = document(store, store.task("b"))
    assert "7 trials in space nasbench201, from 3 sources." in text
    assert "<b>measured since: 0.7000</b> (train:width=8)" in text
    drawn = text[text.index("Predicted against measured") :]
    for name in ("train:width=4", "train:width=8", "search:s", "within sources"):
        assert name in drawn


def test_an_operation_has_one_colour_in_all_reports() -> None:
    def colours(operation: str) -> set[str]:
        (one,) = cells(
            SPACE, [SPACE.parse(f"|{operation}~0|+|none~0|none~1|+|none~0|{operation}~1|none~2|")]
        )
        label = re.search(r"<text[^>]*fill: (#[0-9a-f]+)[^>]*>" + operation.replace("_", " "), one)
        assert label is not None, one
        return {label[1]}

    alone = colours("avg_pool_3x3")
    assert alone != colours("nor_conv_3x3")
    both = "|avg_pool_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|nor_conv_3x3~2|"
    (drawn,) = cells(SPACE, [SPACE.parse(both)])
    assert re.search(f"fill: {alone.pop()}[^>]*>avg pool 3x3", drawn)
