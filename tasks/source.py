"""What a loader gives: labelled images that can be counted before they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tasks.options import Options

PARTS = ("train", "val", "test")
"""Parts a layout may give; a source has at least the first."""

Progress = Callable[[int, int, str], object]
"""Called with the steps done, the steps in all and what is being done."""

Images = NDArray[np.uint8]
Rows = NDArray[np.int64]

UNIFORM = 64
"""Images of one size up to this many pixels a side stay as they are."""


def silent(done: int, total: int, what: str) -> None:
    """The `Progress` that tells nobody."""


class Source(Protocol):
    """Labelled images of one location.

    Attributes:
        classes: names; a label is a position in it.
        labels: by part, each of shape (n,).
    """

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> Mapping[str, Rows]: ...

    def read(
        self, rows: Mapping[str, Rows], *, size: int | None, progress: Progress
    ) -> dict[str, tuple[Images, NDArray[np.bool_]]]:
        """Images at these positions of each part, all of one size.

        Args:
            rows: by part, each of shape (n,).
            size: side of the square; None lets `default_size` choose.

        Returns:
            By part the images, shape (n, channels, height, width), and which of
            them could be read, shape (n,); what the others hold means nothing.
        """
        ...


@dataclass(frozen=True)
class Loader:
    """One kind of data.

    Attributes:
        open: finds the labelled images of a location; the path is a folder it may
            keep files in.
        stamp: changes whenever what the location holds changes.
        own: names of options that only this kind has.
        is_path: whether a location is a file or folder.
    """

    open: Callable[[str, Options, Path], Source]
    stamp: Callable[[str, Options], str]
    own: tuple[str, ...] = ()
    is_path: bool = True


@dataclass(frozen=True)
class ArraySource:
    """Images held in memory, all of one shape.

    Attributes:
        images: by part, shape (n, channels, height, width).
    """

    classes: tuple[str, ...]
    labels: Mapping[str, Rows]
    images: Mapping[str, Images]

    def read(
        self, rows: Mapping[str, Rows], *, size: int | None, progress: Progress
    ) -> dict[str, tuple[Images, NDArray[np.bool_]]]:
        shape = next(iter(self.images.values())).shape
        wanted = (size, size) if size else default_size(np.array([shape[2:]]))
        read = {}
        for part, chosen in rows.items():
            images = resize(self.images[part][chosen], wanted)
            read[part] = images, np.ones(len(images), np.bool_)
        return read


def default_size(sizes: NDArray[np.int64]) -> tuple[int, int]:
    """The size images are brought to where none is asked for.

    Images of one size of at most `UNIFORM` pixels a side keep it. Others become
    squares of 32 pixels, or of 64 where half of them are larger than that: enough to
    tell architectures apart, and small enough to train many.

    Args:
        sizes: height and width of each image, shape (n, 2).
    """
    if (sizes == sizes[0]).all() and sizes[0].max() <= UNIFORM:
        return int(sizes[0][0]), int(sizes[0][1])
    median = float(np.median(np.sqrt(sizes[:, 0] * sizes[:, 1])))
    return (32, 32) if median <= UNIFORM else (64, 64)


def resize(images: Images, size: tuple[int, int]) -> Images:
    """Antialiased, squashed to (height, width); shape (n, channels, *size)."""
    if images.shape[2:] == size:
        return np.ascontiguousarray(images)
    resized = np.empty((*images.shape[:2], *size), np.uint8)
    for start in range(0, len(images), 1000):
        chunk = torch.from_numpy(images[start : start + 1000]).float()
        small = functional.interpolate(chunk, size, mode="bilinear", antialias=True)
        resized[start : start + 1000] = small.round().clamp(0, 255).byte().numpy()
    return resized


def to_grey(images: Images) -> Images:
    """One channel: luma of three (ITU-R 601), one as it is; shape (n, 1, height, width)."""
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise ValueError(f"grey needs images of 1 or 3 channels, got {images.shape[1]}")
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    luma = np.empty((len(images), 1, *images.shape[2:]), np.uint8)
    for start in range(0, len(images), 1000):
        chunk = np.tensordot(images[start : start + 1000], weights, axes=(1, 0))
        luma[start : start + 1000, 0] = np.rint(chunk)
    return luma
