from __future__ import annotations

import pytest

from tasks.load import prepare
from tests.contracts.loader import LoaderContract


class TestSklearn(LoaderContract):
    @pytest.fixture
    def kind(self) -> str:
        return "sklearn"

    @pytest.fixture
    def data(self) -> str:
        return "digits"


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="ships no images 'digit'; did you mean 'digits'"):
        prepare("sklearn", "digit")
