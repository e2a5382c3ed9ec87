"""Arrays of images and labels, as they come, brought to one layout and scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.scale import Scale, scale_of
from tasks.source import ArraySource, Images, Rows

MOST_CHANNELS = 4
COLOURS = 3


def source_of(
    parts: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    where: str,
    *,
    names: Sequence[str] | None = None,
) -> ArraySource:
    """The source of raw images and labels by part.

    Args:
        parts: images of shape (n, h, w), (n, h, w, c), (n, c, h, w) or flat (n, pixels),
            as whole numbers 0..255 or 0..65535 or as reals in [0, 1], [-1, 1] or [0, 255];
            labels as numbers, text or one-hot rows.
        where: named in errors.
        names: of the classes, where labels are positions in it.

    Raises:
        ValueError: none of these; says which.
    """
    for part, (images, labels) in parts.items():
        if not images.ndim or not labels.ndim:
            raise ValueError(
                f"need an array of images and one of labels, got images of shape {images.shape} "
                f"and labels of shape {labels.shape} in the {part} part: {where}"
            )
        if len(images) != len(labels):
            raise ValueError(
                f"need one label an image, got {len(images)} images and {len(labels)} labels "
                f"in the {part} part: {where}"
            )
        if not len(images):
            raise ValueError(f"the {part} part has no images: {where}")
        if not images.size:
            raise ValueError(
                f"need images with pixels, got shape {images.shape} in the {part} part: {where}"
            )
    scaled = _scaled({part: pair[0] for part, pair in parts.items()}, where)
    pixels = {part: _layout(array, where) for part, array in scaled.items()}
    if len({images.shape[1:] for images in pixels.values()}) > 1:
        shapes = ", ".join(f"{part} {images.shape[1:]}" for part, images in pixels.items())
        raise ValueError(f"the parts hold images of different shapes, {shapes}: {where}")
    classes, codes = _coded({part: pair[1] for part, pair in parts.items()}, names, where)
    return ArraySource(classes, codes, pixels)


def _scaled(images: Mapping[str, NDArray[Any]], where: str) -> dict[str, NDArray[np.uint8]]:
    """To 0..255, by the range of all parts of one kind together."""
    alike: dict[str, dict[str, NDArray[Any]]] = {}
    for part, array in images.items():
        if array.dtype.kind not in "buif":
            raise ValueError(f"pixels must be numbers, got {array.dtype}: {where}")
        alike.setdefault(_kind(array, images.values()), {})[part] = array
    scaled: dict[str, NDArray[np.uint8]] = {}
    for kind, group in alike.items():
        scale = scale_of(
            min(float(array.min()) for array in group.values()),
            max(float(array.max()) for array in group.values()),
            whole=kind != "f",
            where=where,
        )
        scaled |= {part: _bytes(array, scale) for part, array in group.items()}
    return {part: scaled[part] for part in images}


def _kind(array: NDArray[Any], among: Iterable[NDArray[Any]]) -> str:
    """Arrays of one kind have one scale: reals, truths, bytes, or wider whole numbers."""
    if array.dtype.kind in "fb":
        return array.dtype.kind
    wide = any(each.dtype == array.dtype and each.max() > 255 for each in among)
    return "wide" if wide else "byte"


def _bytes(array: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    if scale == Scale(0.0, 1.0) and array.dtype.kind in "ui":
        return array.astype(np.uint8, copy=False)
    scaled = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), 1000):
        scaled[start : start + 1000] = scale.bytes_of(array[start : start + 1000])
    return scaled


def _layout(images: NDArray[np.uint8], where: str) -> Images:
    """Shape (n, channels, height, width)."""
    shape = images.shape[1:]
    if len(shape) == 1:
        for channels in (1, 3):
            side = math.isqrt(shape[0] // channels)
            if channels * side * side == shape[0] and side > 1:
                return images.reshape(len(images), channels, side, side)
    elif len(shape) == 2 and min(shape) > 1:
        return images[:, None]
    elif len(shape) == 3:
        last = shape[2] <= MOST_CHANNELS and min(shape[:2]) > 1
        first = shape[0] <= MOST_CHANNELS and min(shape[1:]) > 1
        if last and first:
            # Sides as short as channels are few: three of these are colours.
            last, first = shape[2] == COLOURS != shape[0], shape[0] == COLOURS != shape[2]
            if not (last or first):
                raise ValueError(
                    f"images of shape {images.shape} may be (n, h, w, c) or (n, c, h, w), "
                    f"pad both sides to more than {MOST_CHANNELS} pixels: {where}"
                )
        if last:
            return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        if first:
            return images
    raise ValueError(
        "need images of shape (n, h, w), (n, h, w, c), (n, c, h, w) or flat squares, "
        f"with at most {MOST_CHANNELS} channels, got {images.shape}: {where}"
    )


def _coded(
    labels: Mapping[str, NDArray[Any]], names: Sequence[str] | None, where: str
) -> tuple[tuple[str, ...], dict[str, Rows]]:
    """Class names, and labels as positions in them."""
    flat = {part: _flat(array, where) for part, array in labels.items()}
    found = np.unique(flat["train"])
    codes: dict[str, Rows] = {}
    for part, values in flat.items():
        strange = np.setdiff1d(values, found)
        if len(strange):
            raise ValueError(
                f"class {strange[0]!s} of the {part} part has no training images: {where}"
            )
        codes[part] = np.searchsorted(found, values).astype(np.int64)
    if names is None:
        return tuple(str(value) for value in found), codes
    if found.dtype.kind not in "iu" or found[0] < 0 or found[-1] >= len(names):
        raise ValueError(
            f"labels must be positions in the {len(names)} class names, "
            f"got {found[0]!s} to {found[-1]!s}: {where}"
        )
    return tuple(names[int(value)] for value in found), codes


def _flat(labels: NDArray[Any], where: str) -> NDArray[Any]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "buif" and _one_hot(labels):
        labels = labels.argmax(axis=1)
    whole = labels.dtype.kind == "f" and np.isfinite(labels).all() and not (labels % 1).any()
    if whole:
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.ndim != 1 or labels.dtype.kind not in "buiU":
        raise ValueError(
            "need labels of shape (n,) as whole numbers or text, or one-hot rows, "
            f"got {labels.dtype} of shape {labels.shape}: {where}"
        )
    return labels


def _one_hot(labels: NDArray[Any]) -> bool:
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all())
