import pytest

from metanas.assemble import make_evaluator, make_pruner
from metanas.settings import Named, SearchSettings, SettingsError
from metanas.spaces.nasbench201 import NasBench201
from tests.contracts.ranker import source_trials


@pytest.mark.parametrize("option", ["load", "checkpoints"])
def test_what_takes_an_object_is_no_setting(option: str) -> None:
    with pytest.raises(SettingsError, match=f"has no option '{option}'"):
        make_evaluator(Named("scratch", {option: "x"}), NasBench201())


def test_the_pruner_has_the_searchs_seed() -> None:
    from metadata_store.batch import Trials
    from metadata_store.records import Task

    sources = Trials.of(source_trials())
    for options, seed in (({}, 7), ({"seed": 3}, 3)):
        settings = SearchSettings(budget=1, seed=7, pruner=Named("lcranknet", options))
        made = make_pruner(settings, NasBench201(), Task.table("new"), sources=sources)
        assert vars(made)["_seed"] == seed
