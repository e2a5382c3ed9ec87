import inspect

from metanas.predictors import PREDICTORS


def test_every_predictor_is_registered_under_its_files_name() -> None:
    for key, predictor in PREDICTORS.items():
        assert predictor.__module__ == f"metanas.predictors.{key}"


def test_every_predictor_takes_its_space_by_keyword() -> None:
    for predictor in PREDICTORS.values():
        for parameter in inspect.signature(predictor).parameters.values():
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert "space" in inspect.signature(predictor).parameters
