import inspect

from metanas.strategies import STRATEGIES


def test_a_key_is_the_name_of_the_file_with_hyphens() -> None:
    for key, strategy in STRATEGIES.items():
        assert strategy.__module__ == f"metanas.strategies.{key.replace('-', '_')}"


def test_all_take_the_same_keywords() -> None:
    for strategy in STRATEGIES.values():
        parameters = inspect.signature(strategy).parameters
        assert {"space", "sources", "tasks", "seed"} <= set(parameters)
        assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in parameters.values())
