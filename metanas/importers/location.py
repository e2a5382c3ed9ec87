"""Where to import from: a path or URL, and options after a ``#``.

``FILE#name=value&other=value``, percent-encoded as in a URL's query. An importer may
take one option without its name, as ``URL#study``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from tasks.home import at_home

ACCOUNT = re.compile(
    r"(://[^/:\s#?]*):"
    r"(?!\d+[#?]|\d*\W*\s)"  # a port that ends there, or the address itself
    r"(?:[^/\s]*@|[^/]*@)"
)
"""User and password in an address, or in a text that tells of one.

Both may hold an @ themselves, so the last one before the path ends them. A password may
hold a blank, too, but where an @ comes before it the text goes on after the address.
"""

Options = tuple[str, dict[str, str]]
"""The part before the ``#``, and the options after it."""


def split(location: str, options: Sequence[str], *, bare: str | None = None) -> Options:
    """Takes a location apart.

    Args:
        options: those the importer knows.
        bare: the one that may stand without its name.

    Raises:
        ValueError: an unknown option, one given twice, or one without value.
    """
    base, _, fragment = location.partition("#")
    if not fragment:
        return base, {}
    if bare is not None and "=" not in fragment:
        return base, {bare: unquote(fragment)}
    try:
        pairs = parse_qsl(fragment, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ValueError(
            f"{masked(location)}: want options as name=value, got {fragment!r}"
        ) from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in options or name in given or not value:
            raise ValueError(
                f"{masked(location)}: want each of the options {', '.join(options)} at most once "
                f"and with a value, got {name}={value}"
            )
        given[name] = value
    return base, given


def masked(location: str) -> str:
    """The location, or a text that tells of one, as it may be shown: without the password."""
    return ACCOUNT.sub(r"\1:***@", location)


def existing(path: str) -> Path:
    """The path of a file or folder that is there.

    Raises:
        ValueError: it is not.
    """
    found = at_home(path)
    if not path or not found.exists():
        raise ValueError(f"{path or 'no path'}: no such file or folder")
    return found
