from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.archive import extract

SUFFIXES = frozenset({".png"})


def make_tar(path: Path, names: list[str], *, link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 3
            file.addfile(member, io.BytesIO(b"abc"))
        if link is not None:
            member = tarfile.TarInfo("a/link.png")
            member.type, member.linkname = tarfile.SYMTYPE, link
            file.addfile(member)
    return path


def make_zip(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"abc")
    return path


def below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_only_files_of_the_wanted_kind_are_unpacked(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = tmp_path / ("x.zip" if make is make_zip else "x.tar.gz")
    make(path, ["a/1.png", "b/2.PNG", "run.sh"])
    assert below(extract(path, tmp_path / "cache", SUFFIXES)) == ["a/1.png", "b/2.PNG"]


@pytest.mark.parametrize(
    "name", ["../out.png", "/out.png", "a/../../out.png", "a\\..\\..\\out.png"]
)
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_nothing_is_written_outside(tmp_path: Path, make: object, name: str) -> None:
    assert callable(make)
    path = tmp_path / ("x.zip" if make is make_zip else "x.tar.gz")
    make(path, ["a/1.png", name])
    with pytest.raises(ValueError, match="member outside its folder"):
        extract(path, tmp_path / "cache", SUFFIXES)
    assert not list(tmp_path.rglob("out.png"))
    assert not list((tmp_path / "cache" / "archives").iterdir())


def test_links_are_left_out(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar.gz", ["a/1.png"], link="/etc/passwd")
    assert below(extract(path, tmp_path / "cache", SUFFIXES)) == ["a/1.png"]


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", ["a/1.png"])
    folder = extract(path, tmp_path / "cache", SUFFIXES)
    (folder / "a" / "1.png").write_bytes(b"kept")
    assert extract(path, tmp_path / "cache", SUFFIXES) == folder
    assert (folder / "a" / "1.png").read_bytes() == b"kept"


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar"])
@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08 nothing of the kind", b"PK\x03\x04"])
def test_a_damaged_archive_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="the archive is damaged"):
        extract(tmp_path / name, tmp_path / "cache", SUFFIXES)


def test_a_truncated_archive_says_so(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar.gz", [f"a/{i}.png" for i in range(50)])
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match="the archive is damaged"):
        extract(path, tmp_path / "cache", SUFFIXES)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
@pytest.mark.parametrize("damage", ["flipped", "zeros", "cut"])
def test_damage_amid_an_archive_is_not_taken_for_its_end(
    tmp_path: Path, name: str, damage: str
) -> None:
    whole = make_tar(tmp_path / "whole.tar.gz", [f"a/{i}.png" for i in range(9)])
    content = bytearray(gzip.decompress(whole.read_bytes()))
    header = slice(6 * 1024, 6 * 1024 + 512)  # of the seventh member
    if damage == "flipped":
        content[header.start + 10] ^= 0xFF
    elif damage == "zeros":
        content[header] = bytes(512)
    else:
        del content[header.start :]
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(ValueError, match="the archive is damaged"):
        extract(path, tmp_path / "cache", SUFFIXES)
    assert not list((tmp_path / "cache" / "archives").iterdir())


def test_what_follows_the_end_of_an_archive_is_no_damage(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar", [f"a/{i}.png" for i in range(9)])
    with path.open("ab") as file:
        file.write(b"signed by somebody")
    folder = extract(path, tmp_path / "cache", SUFFIXES)
    assert len(list(folder.rglob("*.png"))) == 9


def test_damage_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.bz2"
    with tarfile.open(path, "w:bz2") as tarred:
        tarred.add(__file__, "a/0.png")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"^the archive is damaged, .*x\.tar\.bz2$") as error:
        extract(path, tmp_path / "cache", SUFFIXES)
    assert "\n" not in str(error.value)


def test_another_file_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    with pytest.raises(ValueError, match="need a folder of images or an archive"):
        extract(tmp_path / "x.txt", tmp_path / "cache", SUFFIXES)
