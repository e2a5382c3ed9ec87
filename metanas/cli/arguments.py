"""Argument parsing shared by the commands: one-line errors, common options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from metanas.settings import Named

Commands = Any
"""argparse's subparsers object, whose class is private."""


EPOCHS_HELP = "of training; by default as many as make 600 steps, of 12 to 200"


class WrongInput(ValueError):
    """The command line itself is wrong."""


class Parser(argparse.ArgumentParser):
    """Raises one line instead of printing usage and leaving."""

    def error(self, message: str) -> NoReturn:
        """Raises `WrongInput`."""
        raise WrongInput(f"{message}; see {self.prog} --help")


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], None], summary: str
) -> argparse.ArgumentParser:
    """Adds a command that calls `run`; the global options may also follow it."""
    added: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    added.set_defaults(run=run)
    # SUPPRESS: a default here would overwrite what stood before the command.
    added.add_argument("--store", metavar="URL", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for flag, text in (("--json", "one JSON document on standard output"), ("--verbose", "")):
        added.add_argument(
            flag,
            action="store_true",
            default=argparse.SUPPRESS,
            help=text or argparse.SUPPRESS,
        )
    return added


def group(commands: Commands, name: str, summary: str) -> Commands:
    """Adds a command with commands of its own."""
    added = commands.add_parser(name, help=summary, description=summary)
    return added.add_subparsers(metavar="COMMAND", required=True)


def positive(text: str) -> int:
    """An integer of at least 1."""
    value = _whole(text)
    if value is None or value < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 1, got {text}")
    return value


def seed(text: str) -> int:
    """A number that a trial can hold."""
    value = _whole(text)
    if value is None or not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"wanted a whole number from 0 to 2147483647, got {text}")
    return value


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def count(text: str) -> int:
    """A positive integer that may be written 300k or 1.5M."""
    scale = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}.get(text[-1:].lower(), 0)
    try:
        value = float(text[:-1]) * scale if scale else float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value < 1e18:
        raise argparse.ArgumentTypeError(
            f"wanted a number such as 250000, 250k or 1.5M, got {text}"
        )
    return int(value)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name for name in text.split(",") if name)


LONGEST, LONGEST_PATH = 255, 4095
"""Bytes that a file's or folder's name may have, and all of them together."""


def check_writable(file: Path, *, part: Path | None = None) -> None:
    """Before the work, not after it.

    Args:
        part: what the file is called while it is written, where that is another name.

    Raises:
        OSError: the file's folder is none or cannot be written to, or the file is a folder.
        ValueError: no file can have its name, or lie there.
    """
    more = 0 if part is None else len(os.fsencode(part.name)) - len(os.fsencode(file.name))
    _check_length("a file's name", file.name, LONGEST - more)
    for folder in file.parent.parts:
        _check_length("a folder's name", folder, LONGEST)
    _check_length("a path", str(file), LONGEST_PATH - more)
    if file.is_dir():
        raise IsADirectoryError(f"need a file to write, got the folder {file}")
    if not file.parent.is_dir():
        raise NotADirectoryError(f"need an existing folder for {file}")
    if not os.access(file.parent, os.W_OK):
        raise PermissionError(f"cannot write to the folder of {file}")


def _check_length(what: str, text: str, most: int) -> None:
    size = len(os.fsencode(text))
    if size > most:
        raise ValueError(f"need {what} of {most} bytes at most, got {size}: {text[:20]}…")


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """The space, and how large its networks are built."""
    parser.add_argument("--space", metavar="S", help="search space (default nasbench201)")
    parser.add_argument(
        "--width", type=positive, metavar="N", help="channels of the first stage (default 16)"
    )
    parser.add_argument(
        "--cells",
        type=positive,
        metavar="N",
        help="cells in each of the three stages (default 1; in the benchmark 5)",
    )


def chosen_space(given: argparse.Namespace, default: Named) -> Named:
    """The space asked for by `add_network_options`; another name drops the default's options."""
    same = given.space is None or given.space == default.name
    space = default if same else Named(given.space)
    return space.but(width=given.width, cells=given.cells)


def add_config(parser: argparse.ArgumentParser, example: str) -> None:
    """A settings file that the other options override."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"settings in YAML, e.g. configs/{example}.yaml"
    )
