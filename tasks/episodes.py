"""Few-shot episodes: N classes drawn from many, K images of each to learn from.

[Matching] Vinyals et al. Matching Networks for One Shot Learning. NeurIPS 2016: episodes.
[MANN] Santoro et al. Meta-Learning with Memory-Augmented Neural Networks. ICML 2016:
Omniglot's characters turned by quarters as further classes.

Few classes are made more by warping: each class of an episode is turned, sheared, stretched,
bent and perhaps mirrored as a whole, into one that was never seen; its images a little more, each
by itself.

Episode i of a seed is the same whoever asks for it, in whatever order: every method meets
the same ones, and training resumes anywhere.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.load import TaskData
from tasks.warp import warped

TURNS = 4
"""A class and its three turns."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Episodes:
    """A batch of b episodes of the same ways n, shots k and queries q a class.

    Attributes:
        support: uint8 images, shape (b, n * k, channels, height, width), class by class.
        support_labels: int64 in [0, n), shape (b, n * k).
        query: shape (b, n * q, channels, height, width), class by class.
        query_labels: shape (b, n * q).
        classes: which of the classes drawn from, turns counted, each label is; (b, n).
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor
    classes: Tensor

    def __post_init__(self) -> None:
        for images, labels in (
            (self.support, self.support_labels),
            (self.query, self.query_labels),
        ):
            if images.ndim != 5 or labels.shape != images.shape[:2]:
                raise ValueError(
                    "episodes hold images of 5 dimensions and a label for each, got "
                    f"{tuple(images.shape)} and {tuple(labels.shape)}"
                )

    def __len__(self) -> int:
        return len(self.support)

    @property
    def ways(self) -> int:
        """Classes of an episode."""
        return self.classes.shape[1]

    @property
    def shots(self) -> int:
        """Support images of a class."""
        return self.support.shape[1] // self.ways

    def to(self, device: torch.device) -> Episodes:
        """The same on a device."""
        return Episodes(
            self.support.to(device),
            self.support_labels.to(device),
            self.query.to(device),
            self.query_labels.to(device),
            self.classes.to(device),
        )


@dataclass(frozen=True)
class Classes:
    """Labelled images to draw episodes from.

    Attributes:
        images: uint8, shape (n, channels, height, width).
        labels: int64 positions in `names`, shape (n,).
        names: of the classes.
        turned: whether each class counts as four, one a quarter turn; for square images.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    turned: bool = False

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                "need images of 4 dimensions and a label for each, got "
                f"{tuple(self.images.shape)} and {tuple(self.labels.shape)}"
            )
        if self.turned and self.images.shape[2] != self.images.shape[3]:
            raise ValueError(
                f"only square images can be turned, got {tuple(self.images.shape[2:])}"
            )

    @classmethod
    def of(cls, data: TaskData, *, turned: bool = False) -> Classes:
        """All images of a task, whatever part they are in."""
        parts = [part for part in (data.train, data.val, data.test) if part is not None]
        return cls(
            torch.cat([part.images for part in parts]),
            torch.cat([part.labels for part in parts]),
            data.classes,
            turned,
        )

    def __len__(self) -> int:
        return len(self.names) * (TURNS if self.turned else 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def rows(self) -> tuple[Tensor, ...]:
        """Positions of each class's images."""
        order = torch.argsort(self.labels, stable=True)
        counts = torch.bincount(self.labels, minlength=len(self.names))
        return torch.split(order, counts.tolist())

    @cached_property
    def digest(self) -> str:
        """Of all that episodes are drawn from: names, labels, images, and whether they turn."""
        told = json.dumps([self.names, self.turned, list(self.images.shape)])
        whole = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16)
        for numbers in (self.labels, self.images):
            whole.update(numbers.contiguous().numpy().data)
        return whole.hexdigest()

    @cached_property
    def marks(self) -> dict[int, int]:
        """By a digest of 64 bits of each image that is not of one colour, its class."""
        pairs = zip(_marks(self.images), self.labels.tolist(), strict=True)
        return {mark: label for mark, label in pairs if mark is not None}

    def named(self, number: int) -> tuple[int, int]:
        """A class's position in `names`, and by how many quarters it is turned."""
        return divmod(number, TURNS) if self.turned else (number, 0)

    def choose(self, rng: np.random.Generator, ways: int, images: int) -> list[tuple[int, Tensor]]:
        """Different classes, turns counted, and of each so many rows of `images`."""
        chosen = []
        for each in rng.permutation(len(self))[:ways].tolist():
            rows = self.rows[self.named(each)[0]]
            chosen.append((each, rows[torch.from_numpy(rng.permutation(len(rows))[:images])]))
        return chosen

    def only(self, wanted: Sequence[int]) -> Classes:
        """The classes at these positions, in that order."""
        rows = [self.rows[i] for i in wanted]
        labels = [torch.full((len(each),), new) for new, each in enumerate(rows)]
        return Classes(
            self.images[torch.cat(rows)],
            torch.cat(labels),
            tuple(self.names[i] for i in wanted),
            self.turned,
        )

    def split(self, shares: Sequence[float], *, seed: int) -> tuple[Classes, ...]:
        """Disjoint parts of the classes; what the shares leave of 1 is the first part.

        Args:
            shares: of the further parts, each at least one class.

        Raises:
            ValueError: too few classes to give each part one.
        """
        n = len(self.names)
        sizes = [max(1, round(share * n)) for share in shares]
        if sum(sizes) >= n:
            raise ValueError(
                f"need more than {sum(sizes)} classes to split them into {len(sizes) + 1} parts, "
                f"got {n}"
            )
        order = np.random.default_rng(seed).permutation(n).tolist()
        parts, end = [], n
        for size in sizes:
            parts.append(sorted(order[end - size : end]))
            end -= size
        return tuple(self.only(part) for part in [sorted(order[:end]), *parts])

    def check(self, ways: int, shots: int, queries: int) -> None:
        """Raises:
        ValueError: too few classes, or too few images in a class.
        """
        if ways < 2 or shots < 1 or queries < 1:
            raise ValueError(
                "need two ways, one shot and one query a class at least, "
                f"got {ways}, {shots} and {queries}"
            )
        if len(self) < ways:
            raise ValueError(f"need at least {ways} classes for {ways} ways, got {len(self)}")
        counts = [len(rows) for rows in self.rows]
        worst = int(np.argmin(counts))
        if counts[worst] < shots + queries:
            raise ValueError(
                f"need {shots + queries} images of each class for {shots} shots and {queries} "
                f"queries, got {counts[worst]} of class {self.names[worst]!r}"
            )


def draw(
    classes: Classes,
    indices: Sequence[int],
    *,
    ways: int,
    shots: int,
    queries: int,
    seed: int,
    warp: float = 0.0,
) -> Episodes:
    """The episodes of these numbers.

    Args:
        queries: images a class to be judged on, none of them in the support.
        warp: how strongly classes are changed into others; 0 leaves them alone.

    Raises:
        ValueError: no episodes asked for, too few classes or images.
    """
    classes.check(ways, shots, queries)
    if not indices:
        raise ValueError("need the number of one episode at least, got none")
    labels = torch.arange(ways)
    drawn = [_drawn(classes, [seed, i], ways, shots + queries, warp) for i in indices]
    taken = torch.stack([images for images, _ in drawn])
    support, query = taken[:, :, :shots].flatten(1, 2), taken[:, :, shots:].flatten(1, 2)
    return Episodes(
        support,
        labels.repeat_interleave(shots).expand(len(indices), -1),
        query,
        labels.repeat_interleave(queries).expand(len(indices), -1),
        torch.tensor([chosen for _, chosen in drawn]),
    )


def check_disjoint(train: Classes, test: Classes) -> None:
    """Whether no image stands in both; what only bears the same name is warned of.

    Raises:
        ValueError: a class of one has an image of the other's.
    """
    known = train.marks
    shared = {
        label: train.names[known[mark]] for mark, label in test.marks.items() if mark in known
    }
    if shared:
        told = [
            test.names[label] if test.names[label] == name else f"{test.names[label]} (as {name})"
            for label, name in sorted(shared.items())
        ]
        raise ValueError(
            f"need test classes that training has not seen, got {_counted(told, 'in both')}"
        )
    alike = sorted(set(train.names) & set(test.names))
    if alike:
        log.warning(
            "classes with %s are taken for different ones, for they share no image",
            _counted(alike, "names in both"),
        )


def check_unseen(seen: Collection[int], test: Classes) -> None:
    """Whether images of these `Classes.marks` are in no class.

    Raises:
        ValueError: a class has one.
    """
    shared = sorted({label for mark, label in test.marks.items() if mark in seen})
    if shared:
        told = _counted([test.names[label] for label in shared], "that it has")
        raise ValueError(f"need test classes that the meta-architecture has not seen, got {told}")


def count_seen(seen: Collection[int], images: Tensor) -> int:
    """How many of the images are among those of these `Classes.marks`.

    Args:
        images: uint8, shape (n, channels, height, width), prepared as the classes' were.
    """
    return sum(mark in seen for mark in _marks(images)) if seen else 0


def _counted(names: Sequence[str], what: str) -> str:
    """The first few."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {what}: {', '.join(names[:3])}{more}"


def _drawn(
    classes: Classes, seed: Sequence[int], ways: int, images: int, warp: float
) -> tuple[Tensor, list[int]]:
    """One episode's images, shape (ways, images, channels, height, width), and its classes."""
    rng = np.random.default_rng(seed)
    chosen = classes.choose(rng, ways, images)
    drawn = []
    for each, rows in chosen:
        _, turn = classes.named(each)
        drawn.append(torch.rot90(classes.images[rows], turn, (2, 3)))
    taken = torch.stack(drawn)
    numbers = [each for each, _ in chosen]
    return (warped(taken, warp, rng) if warp > 0 else taken), numbers


def _marks(images: Tensor) -> Iterator[int | None]:
    """Of each image; None of one colour, which tells nothing apart."""
    for image in images.numpy():
        yield _mark(image) if image.min() != image.max() else None


def _mark(image: NDArray[np.uint8]) -> int:
    """In the range of int64."""
    digest = hashlib.blake2b(image.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
