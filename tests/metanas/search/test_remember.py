import logging
import math
from pathlib import Path

import optuna
import pytest

from metadata_store.ingest import ingest
from metadata_store.memory import MemoryStore
from metadata_store.records import TrialState
from metanas.importers.optuna import read_optuna
from metanas.search import Remember


def objective(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("rate", 0.0, 1.0)
    for step in range(3):
        trial.report(rate * step / 2, step)
        if trial.number == 1:
            raise optuna.TrialPruned
    if trial.number == 2:
        raise RuntimeError("broken")
    return rate


def optimised(store: MemoryStore, url: str) -> optuna.Study:
    study = optuna.create_study(
        study_name="mine", storage=url, direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )  # fmt: skip
    study.set_metric_names(["accuracy"])
    kept = [Remember(store, "wine", "mlp")]
    study.optimize(objective, n_trials=4, callbacks=kept, catch=(RuntimeError,))
    study._storage.remove_session()
    return study


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::optuna.exceptions.ExperimentalWarning"
)
def test_every_trial_that_ends_is_kept_as_an_import_would(tmp_path: Path) -> None:
    store, url = MemoryStore(), f"sqlite:///{tmp_path / 'mine.db'}"
    optimised(store, url)
    trials = list(store.trials(task="wine"))
    states = TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED, TrialState.COMPLETED
    assert [each.state for each in trials] == list(states)
    assert trials[0].architecture.space == "mlp"
    assert trials[0].curve.metric == "accuracy"
    assert trials[0].curve.epochs == (1, 2, 3)
    imported = ingest(store, read_optuna(f"{url}#study=mine&task=wine&space=mlp"), {})
    assert (imported.added, imported.known) == (0, 4)


def test_what_the_store_cannot_hold_is_left_out_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    study = optuna.create_study(direction="maximize")
    with caplog.at_level(logging.WARNING):
        study.optimize(
            lambda trial: math.inf * trial.suggest_float("x", 1, 2),
            n_trials=1,
            callbacks=[Remember(store, "wine", "mlp")],
        )
    assert list(store.trials()) == []
    assert "trial 0 not kept" in caplog.text


def test_a_study_of_several_objectives_goes_on_without_being_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.optimize(
        lambda trial: (trial.suggest_float("rate", 0.0, 1.0), 1.0),
        n_trials=2,
        callbacks=[Remember(store, "wine", "mlp")],
    )
    assert len(study.trials) == 2
    assert not list(store.trials())
    assert "trial 1 not kept: the study has several objectives" in caplog.text
