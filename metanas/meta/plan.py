"""How long to meta-train, and on what episodes."""

from __future__ import annotations

from dataclasses import dataclass

VALIDATION_SEED = 2**31 - 2
"""Of the validation episodes; training's seeds are below it."""


@dataclass(frozen=True)
class Plan:
    """How long, and on what episodes.

    Attributes:
        ways: classes of a training episode.
        shots: support images of each.
        queries: images of each that the outer loss judges by.
        batch: episodes an outer step.
        chunk: how many of them at once; fewer need less memory and change nothing.
        iterations: outer steps.
        lr: Adam's first rate.
        architecture_lr: of the architecture's logits.
        clip: longest gradient, all parameters together.
        warp: how strongly classes are changed into others, see `tasks.episodes`.
        every: outer steps between validations.
        seconds: after which training ends if it has not before; what changes in its course
            then follows the clock where that is further. None for no limit.
        validation_ways, validation_shots, validation_episodes: of each validation.
        seed: of the episodes and of the first parameters.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 5
    batch: int = 4
    chunk: int | None = None
    iterations: int = 1000
    lr: float = 3e-3
    architecture_lr: float = 3e-3
    clip: float = 10.0
    warp: float = 0.5
    every: int = 100
    seconds: float | None = None
    validation_ways: int = 5
    validation_shots: int = 1
    validation_episodes: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch", "iterations", "every", "validation_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {self.chunk}")
        if not self.lr > 0 or not self.architecture_lr > 0 or not self.clip > 0:
            raise ValueError(
                "rates and clip must be above 0, "
                f"got {self.lr}, {self.architecture_lr} and {self.clip}"
            )
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"seconds must be above 0, got {self.seconds}")
        if not 0 <= self.warp <= 2:
            raise ValueError(f"warp must lie in [0, 2], got {self.warp}")
        if not 0 <= self.seed < VALIDATION_SEED:
            raise ValueError(f"a seed lies in 0 to {VALIDATION_SEED - 1}, got {self.seed}")
