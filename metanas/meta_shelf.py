"""Where meta-architectures are kept: those made here, and those that come with the package."""

from __future__ import annotations

import re
from pathlib import Path

from platformdirs import user_data_dir

from metanas.evaluators import checkpoint
from metanas.meta.meta_architecture import MetaArchitecture

SHIPPED = Path(__file__).parent / "meta" / "shipped"
NAME = re.compile(r"[\w][\w.-]*")
LONGEST = 200
"""Bytes of a name: those of a file have 255 at most, and some are added while it is written."""


def own_folder() -> Path:
    """In the user's data folder."""
    return Path(user_data_dir("metanas", appauthor=False)) / "meta"


def path_of(name: str) -> Path:
    """Where the meta-architecture of this name is, or would be, in the user's own folder.

    Raises:
        ValueError: it cannot be the name of a file.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"a meta-architecture's name is of letters, digits, '.', '_' and '-', got {name!r}"
        )
    if len(name.encode()) > LONGEST:
        raise ValueError(
            f"a meta-architecture's name has {LONGEST} bytes at most, "
            f"got {len(name.encode())}: {name[:20]}…"
        )
    return own_folder() / f"{name}.pt"


def names() -> list[str]:
    """All that can be read; the user's own hide shipped ones of the same name."""
    return sorted({file.stem for folder in (own_folder(), SHIPPED) for file in folder.glob("*.pt")})


def keep(meta: MetaArchitecture, name: str, *, replace: bool = True) -> Path:
    """Writes it to the user's own folder.

    Args:
        replace: over another of the same name; else over one of the same training only.

    Raises:
        FileExistsError: there is another that is not to be replaced.
        ValueError: it cannot be the name of a file, or the one of that name is damaged.
    """
    path = path_of(name)
    try:
        checkpoint.write(path, meta.state(), replace=replace)
    except FileExistsError:
        check_same(name, read(path), str(meta.facts.get("digest")))
        checkpoint.write(path, meta.state())
    return path


def check_same(name: str, known: MetaArchitecture, digest: str) -> None:
    """Whether the one of this name is of the training with this digest.

    Raises:
        FileExistsError: it was made in another way.
    """
    if known.facts.get("digest") != digest:
        raise FileExistsError(
            f"a meta-architecture {name!r} exists; give --replace or another name"
        )


def fetch(name: str) -> MetaArchitecture:
    """The meta-architecture of this name.

    Raises:
        ValueError: there is none, it cannot be the name of a file, or its file is damaged.
    """
    own = path_of(name)
    for path in (own, SHIPPED / own.name):
        if path.is_file():
            return read(path)
    known = ", ".join(names()) or "none"
    raise ValueError(f"no meta-architecture {name!r}; known are {known}")


def label(name: str, meta: MetaArchitecture) -> str:
    """What records call the one fetched by this name.

    The name alone of one that ships; with its digest of the user's own, which another may
    replace under the same name.
    """
    return f"{name}@{meta.digest}" if path_of(name).is_file() else name


def read(path: Path) -> MetaArchitecture:
    """The meta-architecture in a file.

    Raises:
        ValueError: it holds none.
    """
    try:
        return MetaArchitecture.of(checkpoint.load(path))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no meta-architecture; delete it to make it anew ({error})"
        ) from error
