"""Runs metanas commands in the test's own process."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from metanas.cli import main


class CommandLine:
    """Commands on one store; ``ok`` gives the JSON document, ``wrong`` the one line."""

    def __init__(self, url: str, read: Callable[[], tuple[str, str]]) -> None:
        self.url = url
        self._read = read

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        status = main(["--store", self.url, *arguments])
        out, err = self._read()
        return status, out, err

    def ok(self, *arguments: str) -> Any:
        status, out, err = self.run(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    def wrong(self, *arguments: str) -> str:
        status, out, err = self.run(*arguments)
        assert status == 2, (status, out, err)
        assert out == ""
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        return err


def command_line(url: str, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """A command line on this store."""

    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return CommandLine(url, read)
