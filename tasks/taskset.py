"""Classes and episodes as learn2learn has them, for methods written with that library.

[learn2learn] Arnold et al. learn2learn: A Library for Meta-Learning Research. 2020.

The one module of this package that imports it, and only once it is asked to. What differs
from the library's own transforms is what they draw: `Taskset` numbers its tasks but draws
them as they are asked for, so that two programs meet different ones. Here task i is episode
i of the seed, as `tasks.episodes` draws it for everyone.
"""

from __future__ import annotations

import importlib
import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tasks.episodes import TURNS, Classes


class Turned(Dataset[tuple[Tensor, int]]):
    """Images in [0, 1] with their classes' numbers, turns counted: row, then turn."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._turns = TURNS if classes.turned else 1

    def __len__(self) -> int:
        return len(self._classes.images) * self._turns

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row, turn = divmod(index, self._turns)
        image = torch.rot90(self._classes.images[row], turn, (1, 2)).float() / 255
        return image, int(self._classes.labels[row]) * self._turns + turn

    def index(self, row: int, number: int) -> int:
        """Where a row stands as an image of the class of this number."""
        _, turn = self._classes.named(number)
        return row * self._turns + turn


def meta_dataset(classes: Classes) -> Any:
    """The classes as a `learn2learn.data.MetaDataset`, to be drawn from by its transforms.

    Raises:
        ModuleNotFoundError: learn2learn is not installed; says how to get it.
    """
    # Its labels are known here; left to itself it would load every image to ask for them.
    turned = Turned(classes)
    turns = TURNS if classes.turned else 1
    labels = {
        row * turns + turn: label * turns + turn
        for row, label in enumerate(classes.labels.tolist())
        for turn in range(turns)
    }
    return _library("learn2learn.data").MetaDataset(turned, indices_to_labels=labels)


def taskset(
    classes: Classes, *, ways: int, shots: int, queries: int, episodes: int, seed: int
) -> Any:
    """So many episodes of a seed as a `learn2learn.data.Taskset`.

    Task i is the pair of images, shape (ways * (shots + queries), c, h, w), and labels: class
    by class, each one's shots before its queries, the same as those of `tasks.episodes.draw`
    without a warp.

    Raises:
        ModuleNotFoundError: learn2learn is not installed; says how to get it.
        ValueError: no episodes asked for, too few classes or images.
    """
    classes.check(ways, shots, queries)
    if episodes < 1:
        raise ValueError(f"need one episode at least, got {episodes}")
    data = _library("learn2learn.data")
    described = _library("learn2learn.data.task_dataset").DataDescription
    dataset = meta_dataset(classes)
    turned = Turned(classes)
    made = data.Taskset(dataset, num_tasks=episodes)
    for number in range(episodes):
        description = []
        chosen = classes.choose(np.random.default_rng([seed, number]), ways, shots + queries)
        for label, (each, rows) in enumerate(chosen):
            for row in rows.tolist():
                one = described(turned.index(row, each))
                one.transforms = [dataset.__getitem__, partial(_labelled, label=label)]
                description.append(one)
        made.sampled_descriptions[number] = description
    return made


def _labelled(sample: tuple[Tensor, int], *, label: int) -> tuple[Tensor, int]:
    return sample[0], label


def _library(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            # The library's own use of deprecated modules is not the caller's business.
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"need learn2learn, which comes with metanas[few-shot]: {error}"
        ) from error
