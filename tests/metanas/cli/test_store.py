from metanas.cli.store import FORMATS
from metanas.importers import IMPORTERS


def test_the_formats_offered_are_those_that_can_be_read() -> None:
    assert tuple(IMPORTERS) == FORMATS
