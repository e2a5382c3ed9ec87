"""A search on a task that no other task can teach anything about.

A run is asked two ways where it will end: by its own curve, extrapolated
(`metanas.rankers.extrapolation`), and by what the task's finished runs gained from the
same epoch on. The curve has most of the say; runs that would win if they gained as
others did are not stopped on its word alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from metadata_store.records import Architecture
from metanas.rankers.curve_table import Floats
from metanas.rankers.extrapolation import Forecast, Unit, extrapolated

SAY = 0.94
"""Of the curve. At a risk of 0.05 a run is spared that by the others' gains wins five to one."""

BELIEF = 4.0
"""Finished runs that a forecast's own deviation counts for, against how far off others were."""


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
        self._unit: Unit | None = None
        self._surprises: dict[object, tuple[Floats, Floats]] = {}  # epochs, squared errors

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
        if len(values) == 0 or not np.isfinite(values[-1]):
            return
        self._finished[key] = float(values[-1])
        told = [each for each in self._finished if len(self._curves[each][1]) > 1]
        if len(told) < self._startup:
            return
        self._unit = Unit.of([self._curves[each][1] for each in told])
        for each in told:
            if each not in self._surprises:
                self._surprises[each] = self._surprise(each, self._unit)

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
        if best is None or key in self._finished or len(values) < 2 or self._unit is None:
            return None
        gains = self._gains(epochs[-1])
        if len(gains) < self._startup:
            return None
        if np.isnan(values[-1]):
            return 0.0
        forecast, widened = self._extrapolated(key, self._unit)
        by_curve = float(forecast.above(float(self._unit(np.array(best))), widened)[0])
        centre, spread = self._gained(values[-1], gains)
        by_gain = float(student.cdf((centre - best) / spread, len(gains) - 1))
        return SAY * by_curve + (1.0 - SAY) * by_gain

    def left(self, key: object) -> float:
        epochs = self._curves[key][0]
        if not self._finished or not len(epochs):
            return 1.0
        return max(0.0, 1.0 - float(epochs[-1]) / self._whole)

    @property
    def _whole(self) -> float:
        """Epochs of most finished runs, of more where two lengths are as frequent."""
        lasts = [float(self._curves[each][0][-1]) for each in self._finished]
        return max(lasts, key=lambda last: (lasts.count(last), last))

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
            elif len(gains) < self._startup or self._unit is None or len(values) < 2:
                found.append((float(values[-1]), spread))
            else:
                found.append(self._expected(key, gains, self._unit))
        pairs = np.asarray(found).reshape(-1, 2)
        return pairs[None, :, 0], pairs[None, :, 1]

    def _expected(self, key: object, gains: Floats, unit: Unit) -> tuple[float, float]:
        """Mean and deviation of both ways together."""
        forecast, widened = self._extrapolated(key, unit)
        centre = unit.low + unit.size * float(forecast.mean[0])
        spread = unit.size * widened * float(forecast.std[0])
        other, wide = self._gained(self._curves[key][1][-1], gains)
        mean = SAY * centre + (1.0 - SAY) * other
        square = SAY * (spread**2 + (centre - mean) ** 2)
        square += (1.0 - SAY) * (wide**2 + (other - mean) ** 2)
        return mean, float(np.sqrt(square))

    # By the run's own curve

    def _extrapolated(self, key: object, unit: Unit) -> tuple[Forecast, float]:
        """Of the final value, in the unit; and how much surer it is than it should be."""
        epochs, values = self._curves[key]
        x, step = _places(epochs)
        end = max((self._whole - epochs[0]) / step, float(x[-1]))
        forecast = extrapolated(x, unit(values[1:]), end)
        off = []
        for places, squares in self._surprises.values():
            index = int(np.searchsorted(places, epochs[-1], side="right")) - 1
            if 0 <= index < len(squares):
                off.append(squares[index])
        square = (BELIEF + sum(off)) / (BELIEF + len(off))
        return forecast, max(1.0, float(np.sqrt(square)))

    def _surprise(self, key: object, unit: Unit) -> tuple[Floats, Floats]:
        """How far off the forecasts of a finished run were, in their deviations, at most 4."""
        epochs, values = self._curves[key]
        x, y = _places(epochs)[0], unit(values[1:])
        forecast = extrapolated(x, y, float(x[-1]), prefixes=True)
        off = (forecast.mean - y[-1]) / forecast.std
        return epochs[1:-1], np.minimum(off[:-1] ** 2, 16.0)

    # By what other runs gained

    def _gains(self, epoch: float) -> Floats:
        """What finished runs gained after an epoch, shape (finished,)."""
        gains = [
            final - np.interp(epoch, *self._curves[key])
            for key, final in self._finished.items()
            if self._curves[key][0][0] <= epoch < self._curves[key][0][-1]
        ]
        return np.asarray([gain for gain in gains if np.isfinite(gain)], np.float64)

    def _gained(self, now: float, gains: Floats) -> tuple[float, float]:
        """Where a run ends that gains as these did, and how surely."""
        gain = float(gains.mean())
        own = float(gains.std(ddof=1))
        # Few gains that agree do not make the next one certain.
        spread = np.hypot(own * np.sqrt(1.0 + 1.0 / len(gains)), 0.1 * abs(gain) + 1e-9)
        return float(now) + gain, float(spread)


def _places(epochs: Floats) -> tuple[Floats, float]:
    """Positions of all points but the first, counted from it, and the epochs between two.

    Steps may count batches: families know only how many points there were.
    """
    step = float(np.median(np.diff(epochs)))
    return (epochs[1:] - epochs[0]) / step, step
