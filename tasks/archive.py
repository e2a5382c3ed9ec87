"""Archives of images, unpacked once into the cache.

Only plain files with the wanted suffixes are written, and never outside the folder.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from tasks.cache import appearing, digest

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LARGEST = 256 * 2**20
"""Bytes an unpacked file may have."""

DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,  # zipfile's for an encrypted member or an unknown compression
)


def is_archive(path: Path) -> bool:
    """Whether the name is an archive's."""
    return path.name.lower().endswith(SUFFIXES)


def extract(path: Path, cache: Path, suffixes: frozenset[str]) -> Path:
    """The folder with the archive's files of these suffixes.

    Raises:
        ValueError: no archive, a damaged one, or a member that would be written
            outside the folder.
    """
    if not is_archive(path):
        raise ValueError(f"need a folder of images or an archive ({', '.join(SUFFIXES)}): {path}")
    state = path.stat()
    unique = digest(str(path.resolve()), str(state.st_size), str(state.st_mtime_ns))
    folder = cache / "archives" / unique
    if folder.is_dir():
        return folder
    with appearing(folder) as scratch:
        try:
            for name, content in _members(path, suffixes):
                target = scratch.joinpath(*_safe(name, path).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
        except DAMAGED as error:
            told = " ".join(str(error).split())  # of several lines where none can be opened
            raise ValueError(f"the archive is damaged, {told}: {path}") from error
    return folder


def _members(path: Path, suffixes: frozenset[str]) -> Iterator[tuple[str, IO[bytes]]]:
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as zipped:
            for entry in zipped.infolist():
                if not entry.is_dir() and _asked(entry.filename, entry.file_size, suffixes):
                    yield entry.filename, zipped.open(entry)
        return
    with tarfile.open(path) as tarred:
        for member in tarred:
            content = tarred.extractfile(member) if member.isreg() else None
            if content is not None and _asked(member.name, member.size, suffixes):
                yield member.name, content
        _require_end(tarred)


def _require_end(tarred: tarfile.TarFile) -> None:
    """Raises tarfile.ReadError: not all was read, for tarfile takes what it cannot for the end.

    The end is two blocks of zeros; whatever follows them, a signature say, is no part of it.
    """
    file = tarred.fileobj
    file.seek(tarred.offset)
    for _ in range(2):
        block = file.read(tarfile.BLOCKSIZE)
        if block.strip(b"\0"):
            raise tarfile.ReadError(f"no member can be read at byte {tarred.offset:,}")
        if len(block) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends without a mark")


def _asked(name: str, size: int, suffixes: frozenset[str]) -> bool:
    return PurePosixPath(name).suffix.lower() in suffixes and size <= LARGEST


def _safe(name: str, path: Path) -> PurePosixPath:
    inner = PurePosixPath(name.replace("\\", "/"))
    if inner.is_absolute() or ".." in inner.parts or ":" in inner.parts[0]:
        raise ValueError(f"the archive has a member outside its folder, {name!r}: {path}")
    return inner
