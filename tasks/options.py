"""Where a task's images are and how they are taken, written as one string.

`Task.data` is a location with options in its fragment, as in
``/data/letters#classes=a,b&limit=2000&size=28``. Options every kind knows are
the fields of `Options`; a loader adds its own by name. The fragment starts at the
last ``#`` that is followed by ``name=``, so other locations may hold a ``#``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

FRAGMENT = re.compile(r"(?P<location>.*)#(?P<options>[A-Za-z_]+=[^#]*)", re.DOTALL)


@dataclass(frozen=True)
class Options:
    """How the images of a location are taken.

    Attributes:
        size: side of the square they are resized to; None for the default of `tasks.load`.
        limit: how many images to keep, every class in its share; None for all.
        classes: names or positions of the classes to keep; () for all.
        grey: turn colours into one channel.
        seed: of the split, the subset and the noise.
        noise: share of training labels replaced by a wrong one, in [0, 1].
        val: share of the training images kept for validation, where the data has no
            such part; in (0, 1).
        own: options of one kind of data, by name, not yet parsed.
    """

    size: int | None = None
    limit: int | None = None
    classes: tuple[str, ...] = ()
    grey: bool = False
    seed: int = 0
    noise: float = 0.0
    val: float = 0.2
    own: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= 1024:
            raise ValueError(f"size must be 1 to 1024 pixels, got {self.size}")
        if self.limit is not None and self.limit < 4:
            raise ValueError(f"limit must be at least 4 images, got {self.limit}")
        if len(self.classes) == 1:
            raise ValueError(f"need at least two classes, got only {self.classes[0]!r}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        if not 0.0 <= self.noise <= 1.0:
            raise ValueError(f"noise is a share in [0, 1], got {self.noise}")
        if not 0.0 < self.val < 1.0:
            raise ValueError(f"val is a share in (0, 1), got {self.val}")

    def integer(self, name: str, default: int | None, *, least: int = 1) -> int | None:
        """An own option as a whole number of at least `least`."""
        text = self.own.get(name)
        if text is None:
            return default
        value = _integer(name, text)
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
        return value

    def share(self, name: str, default: float) -> float:
        """An own option as a number in [0, 1]."""
        text = self.own.get(name)
        value = default if text is None else _number(name, text)
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must lie in [0, 1], got {value}")
        return value


def parse(data: str, own: Iterable[str]) -> tuple[str, Options]:
    """Splits `data` into its location and its options.

    Args:
        own: names of the options that only this kind of data has.

    Raises:
        ValueError: an unknown option, one given twice, or a value out of range.
    """
    match = FRAGMENT.fullmatch(data)
    if match is None:
        return data, Options()
    known = [*COMMON, *own]
    given: dict[str, str] = {}
    for pair in filter(None, match["options"].split("&")):
        name, equals, text = pair.partition("=")
        if name not in known:
            raise ValueError(f"unknown option {name!r} in {data!r}{nearest(name, known)}")
        if name in given or not equals or not text:
            raise ValueError(f"option {name!r} needs one value, got {match['options']!r}")
        given[name] = text if name == "classes" else unquote(text)
    classes = given.get("classes", "")
    return match["location"], Options(
        size=_integer("size", given["size"]) if "size" in given else None,
        limit=_integer("limit", given["limit"]) if "limit" in given else None,
        classes=tuple(unquote(name) for name in classes.split(",")) if classes else (),
        grey=_flag("grey", given.get("grey", "0")),
        seed=_integer("seed", given.get("seed", "0")),
        noise=_number("noise", given.get("noise", "0")),
        val=_number("val", given["val"]) if "val" in given else Options.val,
        own={name: text for name, text in given.items() if name not in COMMON},
    )


def compose(location: str, options: Options) -> str:
    """The `Task.data` that `parse` takes apart into these; defaults are left out."""
    parts: dict[str, str] = {name: quote(text) for name, text in options.own.items()}
    if options.size is not None:
        parts["size"] = str(options.size)
    if options.limit is not None:
        parts["limit"] = str(options.limit)
    if options.classes:
        parts["classes"] = ",".join(quote(name, safe="") for name in options.classes)
    if options.grey:
        parts["grey"] = "1"
    if options.noise:
        parts["noise"] = repr(options.noise)
    if options.val != Options.val:
        parts["val"] = repr(options.val)
    # A location with a "#" of its own keeps a fragment, so that it is found again.
    if options.seed or (not parts and "#" in location):
        parts["seed"] = str(options.seed)
    fragment = "&".join(f"{name}={parts[name]}" for name in sorted(parts))
    return f"{location}#{fragment}" if fragment else location


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a message: ", did you mean …?", else what is known."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else f"; known are {', '.join(names)}"


COMMON = ("size", "limit", "classes", "grey", "seed", "noise", "val")


def _integer(name: str, text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(f"{name} must be a whole number, got {text!r}")
    return int(text)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text!r}") from None


def _flag(name: str, text: str) -> bool:
    flags = {"1": True, "true": True, "0": False, "false": False}
    if text.lower() not in flags:
        raise ValueError(f"{name} must be 1 or 0, got {text!r}")
    return flags[text.lower()]
