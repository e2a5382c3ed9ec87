from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from metadata_store.records import LearningCurve, Trial, TrialState
from metanas.importers import Importer
from metanas.importers.optuna import read_optuna
from tests.contracts.importer import ImporterContract, assert_refused, read


def objective(trial: optuna.Trial) -> float:
    lr = trial.suggest_float("lr", 1e-3, 1.0, log=True)
    trial.suggest_int("depth", 1, 5)
    trial.suggest_categorical("norm", [None, True, "batch"])
    trial.set_user_attr("params", 100 + trial.number)
    trial.set_user_attr("note", "a text")
    if trial.number == 3:
        return lr
    for step in range(4):
        trial.report(lr + step, step)
        if trial.number == 1 and step == 2:
            raise optuna.TrialPruned
        if trial.number == 2 and step == 1:
            raise ValueError("diverged")
    return lr + 10


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a study each way, one of two objectives, and one without trials."""
    path = tmp_path_factory.mktemp("optuna") / "studies.db"
    url = f"sqlite:///{path}"
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    for name, direction in (("up", "maximize"), ("down", "minimize")):
        study = optuna.create_study(storage=url, study_name=name, direction=direction)
        study.optimize(objective, n_trials=4, catch=(ValueError,))
        study.ask()
        study.enqueue_trial({"lr": 0.5})
    optuna.create_study(storage=url, study_name="two", directions=["maximize", "minimize"])
    optuna.logging.set_verbosity(verbosity)
    return path


@pytest.fixture
def path(storage: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(storage, tmp_path / "studies.db"))


class TestOptuna(ImporterContract):
    @pytest.fixture
    def importer(self) -> Importer:
        return read_optuna

    @pytest.fixture
    def location(self, path: Path) -> str:
        return f"sqlite:///{path}#up"

    @pytest.fixture
    def other_layout(self, tmp_path_factory: pytest.TempPathFactory) -> bytes:
        import sqlite3

        path = tmp_path_factory.mktemp("other") / "other.db"
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE experiments (number INTEGER)")
        database.close()
        return path.read_bytes()

    def by_number(self, location: str) -> list[Trial]:
        trials = sorted(read(read_optuna, location), key=lambda trial: trial.seed)
        assert [trial.seed for trial in trials] == [0, 1, 2, 3]
        return trials

    def test_finished_trials_are_read_with_their_state_and_curve(self, location: str) -> None:
        trials = self.by_number(location)
        assert [str(trial.state) for trial in trials] == [
            "completed",
            "stopped",
            "failed",
            "completed",
        ]
        assert [trial.curve.epochs for trial in trials] == [(1, 2, 3, 4), (1, 2, 3), (1, 2), (1,)]
        lr = float(trials[0].architecture.choices["lr"])
        assert trials[0].curve == LearningCurve("value", (1, 2, 3, 4), (lr, lr + 1, lr + 2, lr + 3))
        assert trials[0].extras == {"params": 100, "final_value": lr + 10}
        assert trials[3].extras == {"params": 103}

    def test_parameters_are_the_choices(self, path: Path) -> None:
        study = optuna.load_study(study_name="up", storage=f"sqlite:///{path}")
        for trial in self.by_number(f"{path}#up"):
            params = study.trials[trial.seed].params
            expected = {name: "None" if value is None else value for name, value in params.items()}
            assert trial.architecture.choices == expected
            assert trial.seconds > 0

    def test_a_minimised_objective_is_negated_and_renamed(self, path: Path) -> None:
        trial = self.by_number(f"sqlite:///{path}#down")[3]
        assert trial.curve.metric == "negative_value"
        assert trial.score == pytest.approx(-float(trial.architecture.choices["lr"]))

    def test_task_space_and_metric_may_be_given(self, path: Path) -> None:
        location = f"{path}#study=up&task=my%20task&space=mlp&metric=val_accuracy"
        tables = list(read_optuna(location))
        assert set(tables[0]["task"].to_pylist()) == {"my task"}
        assert set(tables[0]["space"].to_pylist()) == {"mlp"}
        assert set(tables[0]["metric"].to_pylist()) == {"val_accuracy"}
        assert set(tables[0]["source"].to_pylist()) == {"optuna:up"}

    def test_one_of_several_studies_has_to_be_named(self, path: Path) -> None:
        assert_refused(read_optuna, str(path), "down", "two", "up")
        assert_refused(read_optuna, f"{path}#sideways", "down", "sideways")

    def test_several_objectives_are_refused(self, path: Path) -> None:
        assert_refused(read_optuna, f"{path}#two", "one objective")

    def test_a_seed_among_the_attributes_is_the_seed(self, path: Path) -> None:
        url = f"sqlite:///{path}"
        study = optuna.load_study(study_name="up", storage=url)
        study.add_trial(
            optuna.trial.create_trial(
                state=OptunaState.COMPLETE, value=0.5, user_attrs={"seed": 17, "flag": True}
            )
        )
        (trial,) = (trial for trial in read(read_optuna, f"{url}#up") if trial.seed == 17)
        assert trial.extras == {}
        assert trial.state is TrialState.COMPLETED


def test_the_only_study_need_not_be_named(tmp_path: Path, storage: Path) -> None:
    path = tmp_path / "one.db"
    shutil.copy(storage, path)
    for name in ("down", "two"):
        optuna.delete_study(study_name=name, storage=f"sqlite:///{path}")
    assert len(read(read_optuna, str(path))) == 4
