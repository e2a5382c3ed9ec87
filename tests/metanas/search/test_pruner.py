import math
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from metadata_store.batch import Trials
from metadata_store.memory import MemoryStore
from metadata_store.records import Architecture, Trial
from metanas.rankers.lcranknet import LCRankNet
from metanas.search.pruner import EXPLANATION, LCRankPruner, _epochs_of, explanation
from metanas.search.study_space import SpaceNames
from tests.contracts.ranker import EPOCHS, SPACE, choices, run, source_trials

optuna.logging.set_verbosity(optuna.logging.ERROR)

Quick = partial(LCRankPruner, make=partial(LCRankNet, folds=2, searches=2, steps=60))


def store_of(trials: list[Trial]) -> MemoryStore:
    store = MemoryStore()
    store.add_trials(trials)
    return store


def search(
    pruner: optuna.pruners.BasePruner,
    count: int,
    *,
    sign: float = 1.0,
    shift: float = 0.0,
    first_step: int = 1,
    storage: optuna.storages.BaseStorage | str | None = None,
    name: str = "made",
    seed: int = 21,
) -> optuna.Study:
    """A random search; `sign` -1 minimises the negated metric."""
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        load_if_exists=True,
        direction="maximize" if sign > 0 else "minimize",
        pruner=pruner,
        sampler=optuna.samplers.RandomSampler(seed=seed),
    )
    for rate, units in choices(count, seed):
        study.enqueue_trial({"rate": rate, "units": units})

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
        units = trial.suggest_int("units", 1, 4)
        values = run("new", rate, units, scale=0.9).curve.values
        for step, value in enumerate(values, first_step):
            trial.report(sign * value + shift, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return sign * values[-1] + shift

    study.optimize(objective, n_trials=count)
    return study


def epochs(study: optuna.Study) -> int:
    return sum(len(trial.intermediate_values) for trial in study.trials)


def truth(study: optuna.Study) -> list[float]:
    return [
        run("new", t.params["rate"], t.params["units"], scale=0.9).curve.values[-1]
        for t in study.trials
    ]


@pytest.fixture(scope="module")
def pruner() -> LCRankPruner:
    return Quick(store_of(source_trials()), "new")


def test_saves_epochs_and_finds_almost_the_best(pruner: LCRankPruner) -> None:
    study = search(pruner, 40)
    assert epochs(study) < 0.75 * 40 * EPOCHS
    assert study.best_value > max(truth(study)) - 0.1


def test_a_loss_that_is_minimised_is_pruned_the_same(pruner: LCRankPruner) -> None:
    losses = [
        Trial(
            t.task,
            t.architecture,
            type(t.curve)("negative_loss", t.curve.epochs, t.curve.values),
            t.state,
            0,
            "made up",
        )
        for t in source_trials()
    ]
    up = search(pruner, 20, name="up")
    down = search(Quick(store_of(losses), "new"), 20, sign=-1.0, name="down")
    assert [t.state for t in up.trials] == [t.state for t in down.trials]
    assert up.best_value == pytest.approx(-down.best_value)


def test_steps_may_count_from_zero(pruner: LCRankPruner) -> None:
    one = search(pruner, 20, name="one")
    zero = search(pruner, 20, first_step=0, name="zero")
    assert [len(t.intermediate_values) for t in one.trials] == [
        len(t.intermediate_values) for t in zero.trials
    ]


def test_an_empty_store_prunes_nothing_before_runs_have_finished() -> None:
    study = search(Quick(MemoryStore(), "new", startup=6), 30)
    states = [trial.state for trial in study.trials]
    assert states[:6] == [optuna.trial.TrialState.COMPLETE] * 6
    assert study.best_value > max(truth(study)) - 0.15


def test_an_empty_store_prunes_once_the_study_itself_tells() -> None:
    study = search(LCRankPruner(MemoryStore(), "new"), 60)
    assert optuna.trial.TrialState.PRUNED in {trial.state for trial in study.trials}


def test_values_that_cannot_be_of_the_sources_metric_are_judged_alone() -> None:
    """Per cent where the sources have fractions."""
    pruner = Quick(store_of(source_trials()), "new", startup=6)
    study = search(pruner, 10, shift=500.0)
    assert all(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials[:6])


def test_a_stopped_trial_says_why(pruner: LCRankPruner) -> None:
    study = search(pruner, 30)
    stopped = [t for t in study.trials if t.state == optuna.trial.TrialState.PRUNED]
    assert stopped
    for trial in stopped:
        why = trial.user_attrs[EXPLANATION]
        assert 0.0 <= why["probability"] <= why["delta"] < 1.0
        assert why["epochs"] == len(trial.intermediate_values)
        finished = [
            t.value
            for t in study.trials[: trial.number]
            if t.state == optuna.trial.TrialState.COMPLETE and t.value is not None
        ]
        assert why["best"] == pytest.approx(max(finished), rel=0.05)
        assert explanation(trial).startswith("chance")
    kept = next(t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE)
    assert explanation(kept) == ""


def test_another_worker_decides_the_same(tmp_path: Path, pruner: LCRankPruner) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    search(pruner, 20, storage=storage, name="shared")
    fresh = pickle.loads(pickle.dumps(pruner))
    again = optuna.load_study(study_name="shared", storage=storage, pruner=fresh)
    trial = again.ask(
        {
            "rate": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
            "units": optuna.distributions.IntDistribution(1, 4),
        }
    )
    trial.report(0.2, 1)
    trial.report(0.21, 2)
    frozen = again.get_trials(deepcopy=False)[trial.number]
    assert fresh.prune(again, frozen) == pruner.prune(again, frozen)


def test_runs_in_parallel_are_followed_side_by_side(pruner: LCRankPruner) -> None:
    study = optuna.create_study(direction="maximize", pruner=pruner)
    picked = choices(6, 33)
    trials = []
    for rate, units in picked:
        study.enqueue_trial({"rate": rate, "units": units})
        trial = study.ask()
        trial.suggest_float("rate", 1e-4, 1.0, log=True)
        trial.suggest_int("units", 1, 4)
        trials.append(trial)
    open_ = set(range(6))
    for step in range(1, EPOCHS + 1):
        for index in sorted(open_):
            trials[index].report(run("new", *picked[index]).curve.values[step - 1], step)
            if trials[index].should_prune():
                study.tell(trials[index], state=optuna.trial.TrialState.PRUNED)
                open_.discard(index)
    assert open_  # nothing had finished, so nothing could be beaten
    assert open_ == set(range(6))


def test_diverged_values_are_taken(pruner: LCRankPruner) -> None:
    study = search(pruner, 12)
    trial = study.ask(
        {
            "rate": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
            "units": optuna.distributions.IntDistribution(1, 4),
        }
    )
    trial.report(0.1, 1)
    for step in range(2, 7):
        trial.report(math.nan, step)
    assert trial.should_prune()


def test_trials_in_memory_will_do_for_a_store() -> None:
    pruner = Quick(Trials.of(source_trials()), "new", SPACE)
    assert epochs(search(pruner, 25)) < 25 * EPOCHS


def test_the_tasks_own_trials_are_not_learned_from() -> None:
    leaky = [run("new", *choice, scale=0.9) for choice in choices(25, 21)]
    one = search(Quick(store_of(source_trials()), "new"), 15, name="one")
    two = search(Quick(store_of([*source_trials(), *leaky]), "new"), 15, name="two")
    assert [t.state for t in one.trials] == [t.state for t in two.trials]


def test_a_decision_with_many_runs_in_the_study_is_quick(pruner: LCRankPruner) -> None:
    study = search(pruner, 200)
    space = {
        "rate": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
        "units": optuna.distributions.IntDistribution(1, 4),
    }
    spent = []
    for rate, units in choices(5, 40):
        study.enqueue_trial({"rate": rate, "units": units})
        trial = study.ask(space)
        for step, value in enumerate(run("new", rate, units).curve.values[:3], 1):
            trial.report(value, step)
            started = time.perf_counter()
            trial.should_prune()
            spent.append(time.perf_counter() - started)
    assert np.median(spent) < 0.05


@pytest.mark.parametrize(
    "options", [{"risk": 1.0}, {"delta": 1.5}, {"epochs": 0}, {"outcome": "mean"}, {"startup": 1}]
)
def test_senseless_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        Quick(MemoryStore(), "new", **options)  # type: ignore[arg-type]


def test_attributes_of_a_users_own_trials_are_left_alone() -> None:
    asked = Quick(store_of(source_trials()), "new")
    studies = []
    for name, said in (("plain", {}), ("named", {"architecture": "resnet18", "seed": "x"})):
        study = optuna.create_study(study_name=name, direction="maximize", pruner=asked)
        for rate, units in choices(8, 21):
            study.enqueue_trial({"rate": rate, "units": units}, user_attrs=said)
        study.optimize(told(), n_trials=8)
        studies.append([(each.state, len(each.intermediate_values)) for each in study.trials])
    assert studies[0] == studies[1]


def told(shape: str = "rate units") -> Callable[[optuna.Trial], float]:
    """An objective that asks for the named parameters and reports a curve."""

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float(shape.split()[0], 1e-4, 1.0, log=True)
        units = trial.suggest_int(shape.split()[1], 1, 4)
        values = run("new", rate, units, scale=0.9).curve.values
        for step, value in enumerate(values, 1):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return values[-1]

    return objective


@pytest.mark.parametrize("first", [3, 4])
def test_parameters_that_some_trials_lack_do_not_hide_the_space(first: int) -> None:
    def deep(trial: Trial) -> Trial:
        chosen = trial.architecture.choices
        more = {"depth": 2} if chosen["units"] == 4 else {}
        return replace(trial, architecture=Architecture("made", {**chosen, **more}))

    pruner = Quick(store_of([deep(each) for each in source_trials()]), "new")
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for units in (first, 3, 4):
        study.enqueue_trial({"rate": 0.01, "units": units, "depth": 2})

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("rate", 1e-4, 1.0, log=True)
        if trial.suggest_int("units", 1, 4) == 4:
            trial.suggest_int("depth", 1, 3)
        trial.report(0.5, 1)
        trial.should_prune()
        return 0.5

    study.optimize(objective, n_trials=3)
    assert pruner._ranker is not None
    (followed,) = pruner._followed.values()
    assert followed.informed is not None
    assert not followed._strangers


def test_nothing_is_learned_before_there_is_a_run_to_beat() -> None:
    pruner = Quick(store_of(source_trials()), "new", SPACE)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    trial = study.ask()
    told()(trial)  # reports and asks at every step
    assert pruner._ranker is None
    study.add_trial(finished())
    trial.should_prune()
    assert pruner._ranker is not None


def finished() -> optuna.trial.FrozenTrial:
    """A whole run of another worker's."""
    trial = run("new", 0.01, 2)
    return optuna.trial.create_trial(
        params={"rate": 0.01, "units": 2},
        distributions={
            "rate": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
            "units": optuna.distributions.IntDistribution(1, 4),
        },
        value=trial.score,
        intermediate_values=dict(zip(trial.curve.epochs, trial.curve.values, strict=True)),
    )


def test_a_space_is_found_once_a_trial_has_asked_for_all() -> None:
    pruner = Quick(store_of(source_trials()), "new")
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.add_trial(finished())
    trial = study.ask()
    trial.suggest_float("rate", 1e-4, 1.0, log=True)
    trial.report(0.1, 1)
    trial.should_prune()
    assert pruner._ranker is None
    trial.suggest_int("units", 1, 4)
    trial.report(0.2, 2)
    trial.should_prune()
    assert pruner._ranker is not None
    late = study.ask()
    late.suggest_float("rate", 1e-4, 1.0, log=True)
    late.report(0.1, 1)
    late.should_prune()
    (followed,) = pruner._followed.values()
    assert followed._strangers == {late.number}
    late.suggest_int("units", 1, 4)
    late.report(0.2, 2)
    late.should_prune()
    assert not followed._strangers


def test_trials_with_other_parameters_are_judged_without_sources() -> None:
    pruner = Quick(Trials.of(source_trials()), "new", SPACE)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.optimize(told("learning_rate width"), n_trials=3)
    (followed,) = pruner._followed.values()
    assert followed._strangers == {0, 1, 2}


def test_a_choice_that_no_architecture_can_have_makes_a_stranger() -> None:
    pruner = Quick(Trials.of(source_trials()), "new", SPACE)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.add_trial(finished())
    trial = study.ask()
    with pytest.warns(UserWarning, match="persistent storage"):
        trial.suggest_categorical("rate", [(1, 2), (3, 4)])
    trial.suggest_int("units", 1, 4)
    trial.report(0.1, 1)
    assert not trial.should_prune()


def test_a_new_study_under_an_old_name_begins_anew() -> None:
    fresh = Quick(store_of(source_trials()), "new", epochs=EPOCHS)
    search(fresh, 8, name="again", seed=3)
    second = search(fresh, 8, name="again", seed=5)
    other = search(Quick(store_of(source_trials()), "new", epochs=EPOCHS), 8, name="once", seed=5)
    assert [each.state for each in second.trials] == [each.state for each in other.trials]


def test_one_long_run_does_not_make_all_others_short() -> None:
    lengths = (10, 10, 10, 1000)
    trials = [
        optuna.trial.create_trial(value=0.1, intermediate_values={1: 0.0, last: 0.1})
        for last in lengths
    ]
    assert _epochs_of(trials) == 10
    assert _epochs_of(trials[2:]) == 1000
    assert _epochs_of([]) is None


def test_a_space_of_exactly_these_choices_comes_first() -> None:
    def of(space: str, *names: str) -> Trial:
        made = source_trials()[0]
        return replace(made, architecture=Architecture(space, dict.fromkeys(names, 1)))

    known = {
        "a": Trials.of([of("a", "lr", "momentum"), of("a", "lr")]),
        "b": Trials.of([of("b", "lr"), of("b", "lr", "wd"), of("b", "lr", "wd", "steps")]),
        "c": Trials.of([of("c", "rest")]),
        "d": Trials.of([]),
    }
    named = SpaceNames.of(known)
    found = [named.alike(names) for names in (["lr", "momentum"], ["lr", "wd"], ["rest"])]
    assert found == ["a", "b", "c"]
    assert named.alike(["lr", "steps"]) == "b"
    assert named.alike(["lr"]) == "a"
    assert named.alike(["lr", "wd?", "wd"]) == "b"
    assert [named.alike(names) for names in ([], ["momentum", "wd"], ["lr", "else"])] == [None] * 3


def test_the_store_is_read_once_whatever_trials_are_asked() -> None:
    class Counting(MemoryStore):
        reads = 0

        def batch(self, **given: Any) -> Trials:
            self.reads += 1
            return super().batch(**given)

    store = Counting()
    store.add_trials(source_trials())
    study = optuna.create_study(pruner=Quick(store, "new"))
    reads = set()
    for name in "pqrs":
        trial = study.ask()
        trial.suggest_float(name, 0.0, 1.0)
        trial.report(0.1, 1)
        trial.should_prune()
        reads.add(store.reads)
    assert len(reads) == 1
