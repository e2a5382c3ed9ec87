import inspect
from pathlib import Path

import pytest

from metanas.rankers import RANKERS


@pytest.mark.parametrize("name", RANKERS)
def test_a_key_is_the_name_of_its_file(name: str) -> None:
    assert Path(inspect.getfile(RANKERS[name])).stem == name.replace("-", "_")


@pytest.mark.parametrize("name", RANKERS)
def test_all_take_a_space_and_a_seed(name: str) -> None:
    assert {"space", "seed"} <= set(inspect.signature(RANKERS[name]).parameters)
