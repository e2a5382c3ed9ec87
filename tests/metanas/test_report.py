import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from metadata_store.batch import Trials
from metadata_store.memory import MemoryStore
from metadata_store.records import LearningCurve, Task, Trial, TrialState
from metanas.report import mean_scores, task_report
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
