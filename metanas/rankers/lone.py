"""A search on a task that no other task can teach anything about.

From any epoch on, a run is taken to gain about what the task's finished runs gained from
there: Student's t, with as many degrees of freedom as they give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from metadata_store.records import Architecture
from metanas.rankers.curve_table import Floats


class LoneSearch:
    """Implements `metanas.rankers.live.LiveSearch`.

    Args:
        startup: finished runs before anything is said, at least 2.
    """

    def __init__(self, outcome: str, *, startup: int = 4) -> None:
        if startup < 2:
            raise ValueError(f"need at least two finished runs to start, got {startup}")
        self._outcome, self._startup = outcome, startup
        self._curves: dict[object, tuple[Floats, Floats]] = {}
        self._finished: dict[object, float] = {}

    def add(self, key: object, architecture: Architecture | None) -> None:
        self._curves[key] = (np.zeros(0), np.zeros(0))

    def extend(self, key: object, epochs: Sequence[int], values: Sequence[float]) -> None:
        given = np.asarray(values, np.float64)
        given = np.where(np.isfinite(given), given, np.nan)
        if self._outcome == "score":
            given = np.fmax.accumulate(given)
        self._curves[key] = (np.asarray(epochs, np.float64), given)

    def finish(self, key: object) -> None:
        values = self._curves[key][1]
        if len(values) and np.isfinite(values[-1]):
            self._finished[key] = float(values[-1])

    @property
    def best(self) -> float | None:
        return max(self._finished.values(), default=None)

    @property
    def fits(self) -> bool:
        return True

    def chance(self, key: object) -> float | None:
        epochs, values = self._curves[key]
        best = self.best
        # A first value is often taken before training has begun, and says nothing.
        if best is None or key in self._finished or len(values) < 2:
            return None
        gains = self._gains(epochs[-1])
        if len(gains) < self._startup:
            return None
        if np.isnan(values[-1]):
            return 0.0
        centre, spread = self._forecast(values[-1], gains)
        return float(student.cdf((centre - best) / spread, len(gains) - 1))

    def scores(self, keys: Sequence[object]) -> tuple[Floats, Floats]:
        """Before enough runs have finished, a run is expected to stay where it is."""
        ends = [curve[np.isfinite(curve)] for _, curve in self._curves.values()]
        last = np.array([curve[-1] for curve in ends if len(curve)])
        spread = max(float(last.std()) if len(last) else 0.0, 1e-9)
        lowest = float(last.min()) - spread if len(last) else 0.0
        found = []
        for key in keys:
            epochs, values = self._curves[key]
            gains = self._gains(epochs[-1])
            if key in self._finished:
                found.append((self._finished[key], 1e-3 * spread))
            elif np.isnan(values[-1]):
                found.append((lowest, 1e-3 * spread))
            elif len(gains) < self._startup:
                found.append((float(values[-1]), spread))
            else:
                found.append(self._forecast(values[-1], gains))
        pairs = np.asarray(found).reshape(-1, 2)
        return pairs[None, :, 0], pairs[None, :, 1]

    def _gains(self, epoch: float) -> Floats:
        """What finished runs gained after an epoch, shape (finished,)."""
        gains = [
            final - np.interp(epoch, *self._curves[key])
            for key, final in self._finished.items()
            if self._curves[key][0][0] <= epoch < self._curves[key][0][-1]
        ]
        return np.asarray([gain for gain in gains if np.isfinite(gain)], np.float64)

    def _forecast(self, now: float, gains: Floats) -> tuple[float, float]:
        """Where a run ends, and how surely."""
        gain = float(gains.mean())
        own = float(gains.std(ddof=1))
        # Few gains that agree do not make the next one certain.
        spread = np.hypot(own * np.sqrt(1.0 + 1.0 / len(gains)), 0.1 * abs(gain) + 1e-9)
        return float(now) + gain, float(spread)
