"""Classification sets of torchvision, by class name, downloaded on first use.

With ``root=FOLDER`` files that are there already are used; else they are kept in the
cache. A set that comes in variants takes one by ``split=NAME``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.cache import appearing
from tasks.home import at_home
from tasks.images import ImageSource
from tasks.options import Options, nearest
from tasks.source import Loader, Rows

Keywords = Mapping[str, object]

BY_TRAIN: Mapping[str, Keywords] = {"train": {"train": True}, "test": {"train": False}}
BY_SPLIT: Mapping[str, Keywords] = {"train": {"split": "train"}, "test": {"split": "test"}}
BY_THREE: Mapping[str, Keywords] = {**BY_SPLIT, "val": {"split": "val"}}
WHOLE: Mapping[str, Keywords] = {"train": {}}

SETS: dict[str, Mapping[str, Keywords]] = {
    "CIFAR10": BY_TRAIN,
    "CIFAR100": BY_TRAIN,
    "Caltech101": WHOLE,
    "Caltech256": WHOLE,
    "Country211": {**BY_SPLIT, "val": {"split": "valid"}},
    "DTD": BY_THREE,
    "EMNIST": BY_TRAIN,
    "EuroSAT": WHOLE,
    "FGVCAircraft": BY_THREE,
    "FashionMNIST": BY_TRAIN,
    "Flowers102": BY_THREE,
    "Food101": BY_SPLIT,
    "GTSRB": BY_SPLIT,
    "Imagenette": {"train": {"split": "train"}, "val": {"split": "val"}},
    "KMNIST": BY_TRAIN,
    "MNIST": BY_TRAIN,
    "OxfordIIITPet": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    "PCAM": BY_THREE,
    "QMNIST": BY_TRAIN,
    "RenderedSST2": BY_THREE,
    "SEMEION": WHOLE,
    "STL10": BY_SPLIT,
    "SVHN": BY_SPLIT,
    "USPS": BY_TRAIN,
}
"""The parts of each set, as the arguments of its class."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "EMNIST": ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")
}
"""Sets that need a variant; the first is the default."""


def open_torchvision(location: str, options: Options, cache: Path) -> ImageSource:
    """Downloads what is missing.

    Raises:
        ValueError: no such set.
        OSError: it could not be downloaded, or its files are damaged.
    """
    if location not in SETS:
        raise ValueError(
            f"no classification set of torchvision is named {location!r}{nearest(location, SETS)}"
        )
    named = options.own.get("root")
    root = at_home(named) if named is not None else cache / "torchvision" / location
    if named is None and not root.is_dir():
        with appearing(root) as scratch:
            _parts(location, options, scratch)
    elif not root.is_dir():
        raise FileNotFoundError(f"need an existing folder for root: {root}")
    labels, openers = {}, {}
    parts = _parts(location, options, root)
    for part, dataset in parts.items():
        labels[part] = _labels(dataset)
        openers[part] = _Items(dataset)
    found = np.unique(labels["train"])
    for part, codes in labels.items():
        strange = np.setdiff1d(codes, found)
        if len(strange):
            raise ValueError(f"class {strange[0]} of the {part} part has no training images")
        labels[part] = np.searchsorted(found, codes)
    names = getattr(parts["train"], "classes", None)
    if not isinstance(names, list) or len(names) <= int(found[-1]):
        names = range(int(found[-1]) + 1)
    classes = tuple(_name(names[code]) for code in found.tolist())
    return ImageSource(classes, labels, openers, f"torchvision:{location}")


def stamp(location: str, options: Options) -> str:
    """The sets never change."""
    return ""


LOADER = Loader(open_torchvision, stamp, own=("root", "split"), is_path=False)


class _Items:
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, row: int) -> Image.Image:
        image: Image.Image = self.dataset[row][0]
        return image


def _parts(name: str, options: Options, root: Path) -> dict[str, Any]:
    from torchvision import datasets

    keywords: dict[str, object] = {}
    variant = options.own.get("split")
    if name in VARIANTS:
        keywords["split"] = variant or VARIANTS[name][0]
        if keywords["split"] not in VARIANTS[name]:
            hint = nearest(str(variant), VARIANTS[name])
            raise ValueError(f"torchvision's {name} has no split {variant!r}{hint}")
    elif variant is not None:
        raise ValueError(f"torchvision's {name} comes in no variants, got split={variant}")
    make = getattr(datasets, name)
    parts = {}
    for part, own in SETS[name].items():
        try:
            # Some sets print; standard output belongs to the caller.
            with contextlib.redirect_stdout(sys.stderr):
                parts[part] = make(str(root), download=True, **own, **keywords)
        except (RuntimeError, OSError, EOFError) as error:
            reason = " ".join(str(error).split())
            raise OSError(
                f"cannot download or read torchvision's {name}, {reason}: {root}"
            ) from error
    return parts


def _labels(dataset: Any) -> Rows:
    held = vars(dataset)
    for name in ("targets", "labels", "_labels", "y"):
        if name in held and len(held[name]) == len(dataset):
            labels = np.asarray(held[name])
            if labels.ndim == 1 and labels.dtype.kind in "iu":
                return labels.astype(np.int64)
    return np.array([int(dataset[row][1]) for row in range(len(dataset))], np.int64)


def _name(name: object) -> str:
    """Some sets name a class by several words."""
    return ", ".join(name) if isinstance(name, tuple) else str(name)
