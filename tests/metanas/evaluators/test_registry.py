import inspect

from metanas.evaluators import EVALUATORS


def test_every_evaluator_is_registered_under_its_files_name() -> None:
    for key, evaluator in EVALUATORS.items():
        assert evaluator.__module__ == f"metanas.evaluators.{key}"


def test_every_evaluator_takes_its_space() -> None:
    for evaluator in EVALUATORS.values():
        assert "space" in inspect.signature(evaluator).parameters
