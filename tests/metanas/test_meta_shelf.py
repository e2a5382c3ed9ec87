import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metanas import meta_shelf
from metanas.meta.meta_architecture import MetaArchitecture

META = MetaArchitecture.fresh(
    "tnas",
    {"width": 4, "stem": 4, "operations": "none,skip_connect,sep_conv_3x3"},
    (1, 8, 8),
    seed=0,
)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def test_what_is_kept_is_fetched() -> None:
    file = meta_shelf.keep(META, "mine-1.0")
    assert file.is_file()
    again = meta_shelf.fetch("mine-1.0")
    assert all(torch.equal(again.parameters[n], p) for n, p in META.parameters.items())
    assert "mine-1.0" in meta_shelf.names()


def test_one_comes_with_the_package() -> None:
    shipped = meta_shelf.fetch("omniglot")
    assert shipped.input_shape == (1, 28, 28)
    assert float(shipped.facts["accuracy"]) > 0.7
    assert (meta_shelf.SHIPPED / "omniglot.pt").stat().st_size < 1_000_000


def test_records_tell_apart_what_replaced_another_of_its_name() -> None:
    shipped = meta_shelf.fetch("omniglot")
    assert meta_shelf.label("omniglot", shipped) == "omniglot"
    other = MetaArchitecture.fresh(META.method, META.options, META.input_shape, seed=1)
    labels = []
    for meta in (META, META, other):
        meta_shelf.keep(meta, "mine")
        labels.append(meta_shelf.label("mine", meta_shelf.fetch("mine")))
    assert labels[0] == labels[1] != labels[2]
    assert re.fullmatch(r"mine@[0-9a-f]{8}", labels[0])


def test_only_one_of_the_same_training_is_replaced_unasked() -> None:
    one, other = (replace(META, facts={"digest": digest}) for digest in ("1", "2"))
    for meta in (one, one):
        path = meta_shelf.keep(meta, "mine", replace=False)
    with pytest.raises(FileExistsError, match="'mine' exists; give --replace or another name"):
        meta_shelf.keep(other, "mine", replace=False)
    assert meta_shelf.fetch("mine").facts == one.facts
    assert list(path.parent.iterdir()) == [path]


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no meta-architecture 'none'; known are .*omniglot"):
        meta_shelf.fetch("none")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b"])
def test_a_name_is_that_of_a_file(name: str) -> None:
    with pytest.raises(ValueError, match="a meta-architecture's name"):
        meta_shelf.keep(META, name)


def test_a_name_is_short_enough_for_a_file() -> None:
    meta_shelf.keep(META, "a" * meta_shelf.LONGEST)
    for name in ("a" * 300, "ы" * 150):
        with pytest.raises(ValueError, match="200 bytes at most, got 300"):
            meta_shelf.fetch(name)


def test_a_damaged_file_is_told() -> None:
    path = meta_shelf.keep(META, "mine")
    whole = path.read_bytes()
    cut = [whole[:length] for length in range(0, len(whole), len(whole) // 20)]
    for content in (b"nothing", b"hello", b"g1\n", b"d.", *cut[:-1]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"mine\.pt holds no meta-architecture; delete it"):
            meta_shelf.fetch("mine")
    torch.save([META.state()], path)
    with pytest.raises(ValueError, match=r"mine\.pt holds no meta-architecture.*got list"):
        meta_shelf.fetch("mine")
    torch.save({"format": 1}, meta_shelf.path_of("mine"))
    with pytest.raises(ValueError, match=r"mine\.pt holds no meta-architecture"):
        meta_shelf.fetch("mine")
