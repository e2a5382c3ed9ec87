"""The command line: one command a journey.

Exit status 0: done; 1: it failed; 2: the input was wrong, told in one line.
With ``--json`` standard output carries one JSON document and nothing else;
progress and logs go to standard error.

Why argparse, and imports inside commands: ``metanas --help`` must answer in
half a second, and torch alone takes several.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout

from metanas import __version__
from metanas.cli import (
    adapt,
    bench,
    demo,
    experience,
    few_shot,
    report,
    search,
    store,
    task,
    train,
    zero_shot,
)
from metanas.cli.arguments import Parser, WrongInput


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(
        prog="metanas",
        description="Architecture search that remembers: zero-shot and warm-started, from a store "
        "of trained architectures.",
    )
    top.add_argument("--version", action="version", version=f"metanas {__version__}")
    top.add_argument(
        "--store",
        metavar="URL",
        help="sqlite:///path or postgresql://…; default $METANAS_STORE, else a file in your "
        "user data directory",
    )
    top.add_argument("--json", action="store_true", help="one JSON document on standard output")
    top.add_argument("--verbose", action="store_true", help="more logs; tracebacks of failures")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    learning = (zero_shot, train, few_shot, adapt, search)
    for group in (demo, store, task, *learning, report, bench, experience):
        group.add_commands(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    try:
        given = parser().parse_args(arguments)
    except WrongInput as error:
        return _complain(error, 2)
    logging.basicConfig(
        level=logging.INFO if given.verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if not given.verbose:
        warnings.simplefilter("ignore")
    given.output = sys.stdout
    try:
        # Libraries print too (Ray does, of workers that died): that is no result.
        with redirect_stdout(sys.stderr):
            given.run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _complain("interrupted; what had finished is kept", 130)
    except BrokenPipeError:
        # The reader left (`metanas … | head`); keep the interpreter from flushing again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if given.verbose:
            logging.getLogger(__name__).exception("failed")
        return _complain(_describe(error), 2 if _is_wrong_input(error) else 1)
    return 0


def _is_wrong_input(error: Exception) -> bool:
    from metadata_store.errors import LostStore, StoreError

    wrong = (
        StoreError,
        ValueError,
        FileExistsError,
        FileNotFoundError,
        NotADirectoryError,
        IsADirectoryError,
        PermissionError,
        ModuleNotFoundError,
    )
    return isinstance(error, wrong) and not isinstance(error, LostStore)


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if _is_wrong_input(error) else f"failed: {type(error).__name__}: {text}"


def _complain(what: object, status: int) -> int:
    sys.stderr.write(f"metanas: {what}\n")
    return status
