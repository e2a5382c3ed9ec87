"""An architecture and weights for a task of a few images, adapted from a meta-architecture.

[T-NAS] Lian et al. Towards Fast Adaptation of Neural Architectures with Meta Learning.
ICLR 2020.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from metadata_store.records import Architecture, LearningCurve, Task, Trial, TrialState
from metanas.evaluators.augmentation import augmentation
from metanas.evaluators.recipe import Recipe
from metanas.evaluators.training import Lesson, Run
from metanas.meta.batch import Batch, batch_of
from metanas.meta.deploy import deploy
from metanas.meta.interval import wilson
from metanas.meta.meta_architecture import MetaArchitecture
from metanas.networks.counts import count
from tasks.episodes import Episodes, count_seen
from tasks.load import LOADERS, Split, TaskData
from tasks.one_thread import one_thread
from tasks.options import Options, compose, parse

METRIC = "val_accuracy"

MOST_SHOTS = 20
"""Images a class that adaptation uses at most, unless told."""

MOST_SUPPORT = 1000
"""Images of all classes together that it uses at most, unless told or of more classes.

With the meta-architecture that ships each takes 3 MiB of memory.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Adapted:
    """A network of a task's own.

    Attributes:
        module: images (n, c, h, w) in [0, 1] to logits, on the CPU and in evaluation mode.
        trial: its record.
        classes: names, in the order of the logits.
        accuracy: on the images held out.
        low: lower end of its 95 % interval (Wilson's), which is not centred on it.
        high: upper end.
        ci95: how far the accuracy is from the farther end.
        judged: images held out.
        seen: of these, how many the meta-architecture was trained or chosen by: the accuracy
            is too high where there are any. None where it does not tell what it has seen.
        shots: images of each class it adapted to.
        smallest: the class that had no more, where others had; None where that was not why.
        learned: images learned from in all, those of training after it included.
        seconds: that adaptation took, and training after it.
        test_accuracy: on the data's test part; NaN where there is none.
        test_seen: as `seen`, of the test part; None where there is none.
    """

    module: nn.Module
    trial: Trial
    classes: tuple[str, ...]
    accuracy: float
    low: float
    high: float
    ci95: float
    judged: int
    seen: int | None
    shots: int
    smallest: str | None
    learned: int
    seconds: float
    test_accuracy: float
    test_seen: int | None


def fitted(task: Task, meta: MetaArchitecture) -> Task:
    """The same data in the size and the channels that a meta-architecture takes.

    Raises:
        ValueError: the task is known only by its trials.
    """
    location, options = _taken(task)
    channels, height, _ = meta.input_shape
    fitting = replace(options, size=height, grey=options.grey or channels == 1)
    return replace(task, data=compose(location, fitting))


def adapt(
    meta: MetaArchitecture,
    task: Task,
    data: TaskData,
    *,
    source: str,
    shots: int | None = None,
    steps: int | None = None,
    epochs: int = 0,
    seed: int = 0,
    progress: Callable[[int, int, str], object] = lambda done, total, what: None,
) -> Adapted:
    """Adapts architecture and weights to a task, and measures on what was held out.

    Held out are the validation part and the training images not learned from; the latter
    only where none of their labels is made wrong on purpose. How many of them the
    meta-architecture has seen is warned of.

    Args:
        task: named in the trial.
        data: as `fitted` asks for it.
        source: of the trial.
        shots: images of each class to learn from, taken from the training part; by default
            adaptation takes as many as the smallest class has, `MOST_SHOTS` at most and
            `MOST_SUPPORT` of all classes together, but one; training after it takes the
            whole part.
        steps: of gradient descent; by default the meta-architecture's own, see
            `metanas.meta.recipe.Inner`.
        epochs: of ordinary training of the discrete network afterwards.
        seed: which images are the shots; of the training.

    Raises:
        ValueError: too few images, or images of another shape.
        FloatingPointError: it diverged.
    """
    data = _in_channels(data, meta.input_shape)
    noise = _taken(task)[1].noise
    chosen, each, smallest = _shots(data.train, len(data.classes), shots, seed)
    begin = time.perf_counter()
    progress(0, 1, "adapting")
    support = data.train.images[chosen]
    with one_thread():
        first, architecture = _adapted(meta, support, len(data.classes), steps)
    module: nn.Module = first
    learned = torch.zeros(len(data.train), dtype=torch.bool)
    learned[chosen] = True
    curve: list[float] = []
    if epochs:
        if shots is None:
            learned[:] = True
        known = Split(data.train.images[learned], data.train.labels[learned])
        module, curve = _trained(module, replace(data, train=known), epochs, seed)
    held_out = [(data.val.images, data.val.labels)]
    if not noise:
        held_out.append((data.train.images[~learned], data.train.labels[~learned]))
    seconds = time.perf_counter() - begin
    with one_thread():
        right = torch.cat([_right(module, images, labels) for images, labels in held_out])
    accuracy = float(right.mean())
    low, high = wilson(accuracy, len(right))
    ci95 = max(accuracy - low, high - accuracy)
    test = data.test
    seen = _seen(meta, [images for images, _ in held_out], "images held out")
    test_accuracy, test_seen = math.nan, None
    if test is not None:
        test_accuracy = float(_right(module, test.images, test.labels).mean())
        test_seen = _seen(meta, [test.images], "test images")
    counts = count(module, meta.input_shape)
    extras = {
        "params": float(counts.params),
        "flops": float(counts.flops),
        "shots": float(each),
        "learned": float(learned.sum()),
        "ci95": ci95,
        "low": low,
        "high": high,
        "accuracy": accuracy,
    }
    if test is not None:
        extras["test_score"] = test_accuracy
    if test_seen is not None:
        extras["test_seen"] = float(test_seen)
    if seen is not None:
        extras["seen"] = float(seen)
    else:
        log.warning("the meta-architecture's file does not tell if it has seen the images held out")
    values = curve or [accuracy]
    trial = Trial(
        task=task.name,
        architecture=architecture,
        curve=LearningCurve(METRIC, tuple(range(1, len(values) + 1)), tuple(values)),
        state=TrialState.COMPLETED,
        seed=seed,
        source=source,
        seconds=seconds,
        extras=extras,
    )
    progress(1, 1, "adapting")
    return Adapted(
        module,
        trial,
        data.classes,
        accuracy,
        low,
        high,
        ci95,
        judged=len(right),
        seen=seen,
        shots=each,
        smallest=None if smallest is None else data.classes[smallest],
        learned=int(learned.sum()),
        seconds=seconds,
        test_accuracy=test_accuracy,
        test_seen=test_seen,
    )


def source_for(
    meta: str, *, shots: int | None = None, steps: int | None = None, epochs: int | None = None
) -> str:
    """The source of a trial adapted from a meta-architecture: what was asked for.

    Results of other shots are other measurements, not known ones.

    Args:
        meta: as `metanas.meta_shelf.label` calls it.
    """
    asked = {"epochs": epochs, "shots": shots, "steps": steps}
    told = [f"{name}={value}" for name, value in asked.items() if value is not None]
    return ",".join([f"few-shot:{meta}", *told])


def _taken(task: Task) -> tuple[str, Options]:
    """Where a task's images are, and how they are taken."""
    if task.kind not in LOADERS:
        raise ValueError(f"task {task.name!r} is known only by its trials, it has no images")
    return parse(task.data.removeprefix(f"{task.kind}:"), LOADERS[task.kind].own)


def _in_channels(data: TaskData, shape: tuple[int, int, int]) -> TaskData:
    channels, *sides = shape
    if list(data.shape[1:]) != sides or data.shape[0] not in (1, channels):
        raise ValueError(f"need images of shape {shape}, got {data.shape}")
    if data.shape[0] == channels:
        return data

    def spread(part: Split) -> Split:
        return Split(part.images.repeat(1, channels, 1, 1), part.labels)

    test = spread(data.test) if data.test is not None else None
    return replace(data, train=spread(data.train), val=spread(data.val), test=test)


def _shots(train: Split, ways: int, shots: int | None, seed: int) -> tuple[Tensor, int, int | None]:
    """Positions of as many training images of each class, class by class.

    Returns:
        With them how many of each, and the class that has no more where others have.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    rows = [order[train.labels[order] == label] for label in range(ways)]
    sizes = [len(each) for each in rows]
    fewest = min(sizes)
    if not fewest:
        raise ValueError("need an image of each class to learn from, got none of one")
    if shots is not None and not 1 <= shots <= fewest:
        raise ValueError(
            f"need 1 to {fewest} shots, got {shots}: the smallest class has {fewest} images "
            f"beside those held out to judge by"
        )
    most = min(MOST_SHOTS, max(1, MOST_SUPPORT // ways), max(sizes)) if shots is None else shots
    shots = min(fewest, most)
    smallest = sizes.index(fewest) if fewest < most else None
    return torch.cat([each[:shots] for each in rows]), shots, smallest


def _adapted(
    meta: MetaArchitecture, support: Tensor, ways: int, steps: int | None
) -> tuple[nn.Sequential, Architecture]:
    labels = torch.arange(ways).repeat_interleave(len(support) // ways)[None]
    nothing = support[None, :0], labels[:, :0]
    episodes = Episodes(support[None], labels, *nothing, torch.arange(ways)[None])
    batch: Batch = batch_of(episodes)
    learner = meta.learner
    adapted = learner.adapt(meta.parameters, batch, steps=steps)
    if not all(value.isfinite().all() for value in adapted.values()):
        raise FloatingPointError("adaptation diverged; give fewer steps")
    own = dict(meta.parameters)
    for name, value in adapted.items():
        own[name] = value[0] if value.ndim > meta.parameters[name].ndim else value
    cells = meta.cells(own)
    return deploy(meta, own, cells, support, ways), meta.space.of_cells(cells)


def _trained(
    module: nn.Module, data: TaskData, epochs: int, seed: int
) -> tuple[nn.Module, list[float]]:
    """The network after ordinary training from its adapted weights, and the curve."""
    recipe = Recipe(epochs=epochs, batch_size=32, lr=0.01)
    augment = augmentation(recipe.augment, data.train.images, data.train.labels)
    lesson = Lesson(data, recipe, augment, seed=seed, device=torch.device("cpu"))
    run = Run(module, lesson)
    with closing(iter(run)) as curve:
        for _ in curve:
            pass
    if run.diverged:
        raise FloatingPointError(f"training after adaptation diverged in epoch {len(run.values)}")
    return run.module.eval(), list(run.values)


def _seen(meta: MetaArchitecture, parts: Sequence[Tensor], what: str) -> int | None:
    """How many of the images it was trained or chosen by; None where it does not tell."""
    if not meta.seen:
        return None
    seen = sum(count_seen(meta.seen, images) for images in parts)
    if seen:
        log.warning(
            "%d of %d %s were seen in meta-training, so the accuracy on them is too high",
            seen,
            sum(map(len, parts)),
            what,
        )
    return seen


def _right(module: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """1 where an image is classified right, else 0."""
    with torch.inference_mode():
        parts = [module(part.float() / 255).argmax(1) for part in torch.split(images, 256)]
    return (torch.cat(parts) == labels).float() if parts else labels.float()
