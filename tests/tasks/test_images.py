from __future__ import annotations

import errno
import io
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tasks.arrays import source_of
from tasks.images import ImageSource, _header
from tasks.source import silent


def read(*images: Callable[[], Image.Image], size: int | None = None) -> NDArray[np.uint8]:
    rows = np.arange(len(images))
    source = ImageSource(("a", "b"), {"train": rows % 2}, {"train": lambda row: images[row]()})
    pixels, readable = source.read({"train": rows}, size=size, progress=silent)["train"]
    assert readable.all()
    return pixels


def grey(value: int, side: int = 8) -> Image.Image:
    return Image.new("L", (side, side), value)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (8, 8), 200), [200, 200, 200]),
        (Image.new("1", (8, 8), 1), [255, 255, 255]),
        (Image.new("RGB", (8, 8), (10, 20, 30)), [10, 20, 30]),
        (Image.new("RGB", (8, 8), (10, 20, 30)).quantize(), [10, 20, 30]),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 255)), [10, 20, 30]),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 0)), [255, 255, 255]),
        (Image.new("LA", (8, 8), (0, 0)), [255, 255, 255]),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), [255, 0, 0]),
        (Image.fromarray(np.full((8, 8), 51400, np.uint16)), [200, 200, 200]),
        (Image.new("I", (8, 8), 51400), [200, 200, 200]),
        (Image.new("F", (8, 8), 0.5), [128, 128, 128]),
        (Image.new("F", (8, 8), 200.0), [200, 200, 200]),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_mode_is_read(image: Image.Image, expected: list[int]) -> None:
    colour = Image.new("RGB", (8, 8), "red")
    found = read(image.copy, lambda: colour)[0]
    assert found.shape == (3, 8, 8)
    assert np.abs(found[:, 4, 4].astype(int) - expected).max() <= 1


def test_grey_images_have_one_channel_however_they_are_stored() -> None:
    assert read(lambda: grey(9), lambda: grey(7).convert("RGB")).shape == (2, 1, 8, 8)


def test_one_coloured_image_keeps_three_channels() -> None:
    assert read(lambda: grey(9), lambda: Image.new("RGB", (8, 8), "red")).shape == (2, 3, 8, 8)


def test_mixed_sizes_are_squashed_to_one() -> None:
    wide = Image.new("L", (100, 20), 0)
    wide.paste(255, (0, 0, 50, 20))
    found = read(lambda: wide, lambda: grey(0, 10), size=16)
    assert found.shape == (2, 1, 16, 16)
    assert (found[0, 0, :, :7] == 255).all()
    assert (found[0, 0, :, 9:] == 0).all()


def test_a_turned_photograph_is_set_upright(tmp_path: Path) -> None:
    image = Image.new("L", (8, 8), 0)
    image.paste(255, (0, 0, 8, 4))
    turned = image.getexif()
    turned[0x0112] = 3
    image.save(tmp_path / "a.png", exif=turned)
    found = read(lambda: Image.open(tmp_path / "a.png"), lambda: grey(0))[0, 0]
    assert found[0].max() == 0
    assert found[7].min() == 255


def test_large_photographs_are_averaged(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=95)
    found = read(lambda: Image.open(tmp_path / "a.jpg"), lambda: grey(0), size=8)[0]
    assert found.std() < 10


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_sizes_are_those_of_images_set_upright(tmp_path: Path, orientation: int) -> None:
    image = Image.new("L", (40, 20), 0)
    turned = image.getexif()
    turned[0x0112] = orientation
    image.save(tmp_path / "a.jpg", exif=turned)
    image.save(tmp_path / "b.png", exif=turned)
    image.save(tmp_path / "c.tif", exif=turned)
    for name in ("a.jpg", "b.png", "c.tif"):
        found = read(partial(Image.open, tmp_path / name))
        assert found.shape == ((1, 1, 40, 20) if orientation in (6, 8) else (1, 1, 20, 40))


def test_sizes_are_found_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey(9).save(tmp_path / "a.png")
    grey(9).save(tmp_path / "b.jpg")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    for name in ("a.png", "b.jpg"):
        with (tmp_path / name).open("rb") as file:
            assert _header([Image.open(file)].__getitem__, 0) == (8, 8)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("size", [None, 8])
def test_what_is_out_of_reach_is_no_damaged_image(number: int, size: int | None) -> None:
    def unreachable() -> Image.Image:
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=os.strerror(number)):
        read(lambda: grey(9), unreachable, size=size)


DEEP = {
    "dark 16 bits": [np.array([[0, 200], [100, 50]], np.uint16)],
    "16 bits": [np.array([[0, 200], [100, 50]], np.uint16), np.full((2, 2), 51400, np.uint16)],
    "32 bits": [np.array([[0, 200], [100, 255]], np.int32)],
    "black and white": [np.array([[0, 1], [1, 0]], np.uint16)],
    "reals to 1": [np.array([[0, 0.5], [1, 0.25]], np.float32)],
    "reals from -1": [np.array([[0, -0.5], [-1, 1]], np.float32), np.zeros((2, 2), np.float32)],
    "reals to 255": [np.full((2, 2), 0.9, np.float32), np.full((2, 2), 200, np.float32)],
}


@pytest.mark.parametrize("pixels", DEEP.values(), ids=DEEP)
def test_deep_images_are_read_as_arrays_of_the_same_pixels_are(
    tmp_path: Path, pixels: list[NDArray[np.generic]]
) -> None:
    files = [tmp_path / f"{number}.tif" for number in range(len(pixels))]
    for file, each in zip(files, pixels, strict=True):
        Image.fromarray(each).save(file)
    found = read(*[partial(Image.open, file) for file in files])
    arrays = source_of({"train": (np.stack(pixels), np.arange(len(pixels)))}, "here")
    assert np.array_equal(found, arrays.images["train"])


@pytest.mark.parametrize("most", [1.3, 60_000.0])
def test_deep_images_of_no_range_are_refused(most: float) -> None:
    with pytest.raises(ValueError, match=r"pixels .* \[0, 255\].*: these images"):
        read(lambda: Image.new("F", (8, 8), 0.5), lambda: Image.new("F", (8, 8), most))


@pytest.mark.parametrize("size", [None, 4])
def test_images_of_numbers_that_are_not_finite_are_skipped_and_told(
    size: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.random.default_rng(0).uniform(size=(4, 8, 8)).astype(np.float32)
    pixels[1, 0, 0], pixels[2, 3, 3], pixels[2, 4, 4] = math.nan, math.inf, -math.inf
    images = [Image.fromarray(each) for each in pixels]
    source = ImageSource(("a",), {"train": np.zeros(4, np.int64)}, {"train": lambda i: images[i]})
    _, readable = source.read({"train": np.arange(4)}, size=size, progress=silent)["train"]
    assert readable.tolist() == [True, False, False, True]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["2 of 4 images hold numbers that are not finite: these images"]


def test_what_cannot_be_read_is_told_apart() -> None:
    def broken(row: int) -> Image.Image:
        if row % 2:
            raise OSError("truncated")
        return grey(100)

    source = ImageSource(("a", "b"), {"train": np.zeros(4, np.int64)}, {"train": broken})
    for size in (None, 8):
        rows = {"train": np.arange(4)}
        pixels, readable = source.read(rows, size=size, progress=silent)["train"]
        assert readable.tolist() == [True, False, True, False]
        assert (pixels[readable] == 100).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "TGA"])
def test_no_damage_is_more_than_an_unreadable_image(kind: str) -> None:
    rng = np.random.default_rng(0)
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(whole, kind)
    files = []
    for _ in range(100):
        raw = bytearray(whole.getvalue())
        for position in rng.integers(0, len(raw), 4):
            raw[position] = rng.integers(0, 256)
        files.append(bytes(raw[: rng.integers(0, 2 * len(raw))]))
    labels = {"train": np.zeros(100, np.int64)}
    source = ImageSource(
        ("a", "b"), labels, {"train": lambda row: Image.open(io.BytesIO(files[row]))}
    )
    rows = {"train": np.arange(100)}
    _, readable = source.read(rows, size=None, progress=silent)["train"]
    assert not readable.all()


def test_progress_reaches_the_end() -> None:
    told: list[tuple[int, int, str]] = []
    source = ImageSource(
        ("a", "b"), {"train": np.zeros(3, np.int64)}, {"train": lambda row: grey(row)}
    )
    source.read({"train": np.arange(3)}, size=8, progress=lambda *step: told.append(step))
    assert told[-1] == (3, 3, "reading images")
