"""Images that Pillow opens, of any size and mode, read in parallel.

Colours stay where any image of the set has some; else one channel is kept.
Transparent pixels become white. Grey images of more than eight bits have a scale of
`tasks.scale`, the same for all of a kind that are read together. Larger or smaller images
are squashed to the common size, not cut: what tells classes apart may stand at the border.
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from struct import error as StructError
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from tasks.scale import scale_of
from tasks.source import Images, Progress, Rows, default_size

UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    TypeError,
    StructError,
    ZlibError,
    Image.DecompressionBombError,
)
"""What Pillow raises for a damaged file."""

DAMAGED_OR_GONE = frozenset(
    [None, errno.EINVAL, errno.EOVERFLOW, errno.ENOENT, errno.ENOTDIR, errno.ELOOP]
)
"""Numbers of an OSError that says so: Pillow's own have none, and a damaged file may have it
seek where nothing is. Others, of permissions or a disk, say nothing of the image."""

TURNED = frozenset([5, 6, 7, 8])
"""EXIF orientations in which height and width change places."""

Opener = Callable[[int], Image.Image]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageSource:
    """Images opened one by one.

    Attributes:
        openers: by part, from a position to its image.
        where: named in errors.
    """

    classes: tuple[str, ...]
    labels: Mapping[str, Rows]
    openers: Mapping[str, Opener]
    where: str = "these images"

    def read(
        self, rows: Mapping[str, Rows], *, size: int | None, progress: Progress
    ) -> dict[str, tuple[Images, NDArray[np.bool_]]]:
        """As `Source.read`; images with numbers that are not finite pass for unreadable.

        Raises:
            ValueError: the pixels of deep images are of no range.
            OSError: an image can at present not be read, whatever it holds.
        """
        todo = [(part, int(row)) for part, chosen in rows.items() for row in chosen]
        with ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
            wanted = (size, size) if size else self._size(pool, todo)
            images = np.zeros((len(todo), 3, *wanted), np.uint8)
            readable = np.zeros(len(todo), np.bool_)
            deep: dict[int, _Deep] = {}

            def fill(position: int) -> None:
                part, row = todo[position]
                pixels = _pixels(self.openers[part], row, wanted)
                if isinstance(pixels, _Deep):
                    deep[position] = pixels
                elif pixels is not None:
                    images[position] = pixels
                readable[position] = pixels is not None

            for done, _ in enumerate(pool.map(fill, range(len(todo))), start=1):
                if done % 500 == 0 or done == len(todo):
                    progress(done, len(todo), "reading images")
        strange = [position for position, each in deep.items() if not each.is_finite]
        if strange:
            log.warning(
                "%d of %d images hold numbers that are not finite: %s",
                len(strange),
                len(todo),
                self.where,
            )
        for position in strange:
            readable[position] = False
            del deep[position]
        for kind in {each.kind for each in deep.values()}:
            self._scale({at: each for at, each in deep.items() if each.kind == kind}, images)
        if not any(_coloured(images[i : i + 1000]) for i in range(0, len(images), 1000)):
            images = images[:, :1]
        ends = np.cumsum([len(chosen) for chosen in rows.values()])[:-1]
        parts = zip(np.split(images, ends), np.split(readable, ends), strict=True)
        return dict(zip(rows, parts, strict=True))

    def _size(self, pool: ThreadPoolExecutor, todo: list[tuple[str, int]]) -> tuple[int, int]:
        found = pool.map(lambda item: _header(self.openers[item[0]], item[1]), todo)
        sizes = [size for size in found if size is not None]
        return default_size(np.array(sizes, np.int64)) if sizes else (1, 1)

    def _scale(self, deep: Mapping[int, _Deep], images: Images) -> None:
        """Fills in those images."""
        scale = scale_of(
            min(each.low for each in deep.values()),
            max(each.high for each in deep.values()),
            whole=not next(iter(deep.values())).kind.startswith("f"),
            where=self.where,
        )
        for position, each in deep.items():
            images[position] = scale.bytes_of(each.pixels)


@dataclass(frozen=True)
class _Deep:
    """A grey image of more than eight bits, which has no scale of its own.

    Attributes:
        pixels: brought to the common size, float32, shape (height, width).
        kind: of its pixels, as NumPy names it, such as u2.
        low, high: extremes before it was resized; NaN where a pixel is.
    """

    pixels: NDArray[np.float32]
    kind: str
    low: float
    high: float

    @property
    def is_finite(self) -> bool:
        """Whether every pixel is a finite number."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def _header(opener: Opener, row: int) -> tuple[int, int] | None:
    """Height and width of the image set upright, None where it cannot be read."""
    try:
        with opener(row) as image:
            # Of a .png without it `getexif` would look behind the pixels, and decode them all.
            turned = "exif" in image.info and (
                image.getexif().get(ExifTags.Base.Orientation) in TURNED
            )
            return (image.width, image.height) if turned else (image.height, image.width)
    except UNREADABLE as error:
        _pass_over(error)
        return None


def _pass_over(error: Exception) -> None:
    """Raises the error unless it is of what the file holds, or that it is gone."""
    if isinstance(error, OSError) and error.errno not in DAMAGED_OR_GONE:
        raise error


def _pixels(opener: Opener, row: int, size: tuple[int, int]) -> Images | _Deep | None:
    """Shape (3, *size), or None where the image cannot be read."""
    height, width = size
    try:
        with opener(row) as image:
            # JPEG decodes faster to a fraction of its size; twice the wanted one is plenty.
            image.draft("RGB", (2 * width, 2 * height))
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "F" or upright.mode.startswith("I"):
                return _deep(upright, size)
            plain = _rgb(upright)
    except UNREADABLE as error:
        _pass_over(error)
        return None
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(plain, np.uint8).transpose(2, 0, 1)


def _deep(image: Image.Image, size: tuple[int, int]) -> _Deep:
    values = np.asarray(image)
    height, width = size
    plain = Image.fromarray(values.astype(np.float32))
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    kind = f"{values.dtype.kind}{values.dtype.itemsize}"
    return _Deep(np.asarray(plain), kind, float(values.min()), float(values.max()))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        above = image.convert("RGBA")
        below = Image.new("RGBA", above.size, "white")
        image = Image.alpha_composite(below, above)
    return image.convert("RGB")


def _coloured(images: Images) -> bool:
    return bool((images != images[:, :1]).any())
