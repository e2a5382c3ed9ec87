"""Images that Pillow opens, of any size and mode, read in parallel.

Colours stay where any image of the set has some; else one channel is kept.
Transparent pixels become white. Whatever has more than eight bits a channel loses
the lower ones. Larger or smaller images are squashed to the common size, not cut:
what tells classes apart may stand at the border.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from struct import error as StructError
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

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

Opener = Callable[[int], Image.Image]


@dataclass(frozen=True)
class ImageSource:
    """Images opened one by one.

    Attributes:
        openers: by part, from a position to its image.
    """

    classes: tuple[str, ...]
    labels: Mapping[str, Rows]
    openers: Mapping[str, Opener]

    def read(
        self, rows: Mapping[str, Rows], *, size: int | None, progress: Progress
    ) -> dict[str, tuple[Images, NDArray[np.bool_]]]:
        todo = [(part, int(row)) for part, chosen in rows.items() for row in chosen]
        with ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
            wanted = (size, size) if size else self._size(pool, todo)
            images = np.zeros((len(todo), 3, *wanted), np.uint8)
            readable = np.zeros(len(todo), np.bool_)

            def fill(position: int) -> None:
                part, row = todo[position]
                pixels = _pixels(self.openers[part], row, wanted)
                if pixels is not None:
                    images[position] = pixels
                    readable[position] = True

            for done, _ in enumerate(pool.map(fill, range(len(todo))), start=1):
                if done % 500 == 0 or done == len(todo):
                    progress(done, len(todo), "reading images")
        if not any(_coloured(images[i : i + 1000]) for i in range(0, len(images), 1000)):
            images = images[:, :1]
        ends = np.cumsum([len(chosen) for chosen in rows.values()])[:-1]
        parts = zip(np.split(images, ends), np.split(readable, ends), strict=True)
        return dict(zip(rows, parts, strict=True))

    def _size(self, pool: ThreadPoolExecutor, todo: list[tuple[str, int]]) -> tuple[int, int]:
        found = pool.map(lambda item: _header(self.openers[item[0]], item[1]), todo)
        sizes = [size for size in found if size is not None]
        return default_size(np.array(sizes, np.int64)) if sizes else (1, 1)


def _header(opener: Opener, row: int) -> tuple[int, int] | None:
    try:
        with opener(row) as image:
            return image.height, image.width
    except UNREADABLE:
        return None


def _pixels(opener: Opener, row: int, size: tuple[int, int]) -> Images | None:
    """Shape (3, *size), or None where the image cannot be read."""
    height, width = size
    try:
        with opener(row) as image:
            # JPEG decodes faster to a fraction of its size; twice the wanted one is plenty.
            image.draft("RGB", (2 * width, 2 * height))
            plain = _rgb(ImageOps.exif_transpose(image))
    except UNREADABLE:
        return None
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(plain, np.uint8).transpose(2, 0, 1)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        deep = np.asarray(image.convert("I"), np.int64)
        image = Image.fromarray((deep.clip(0, 65535) >> 8).astype(np.uint8))
    elif image.mode == "F":
        values = np.nan_to_num(np.asarray(image, np.float64))
        scale = 255.0 if values.max(initial=0.0) <= 1.0 else 1.0
        image = Image.fromarray((values * scale).clip(0, 255).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        above = image.convert("RGBA")
        below = Image.new("RGBA", above.size, "white")
        image = Image.alpha_composite(below, above)
    return image.convert("RGB")


def _coloured(images: Images) -> bool:
    return bool((images != images[:, :1]).any())
