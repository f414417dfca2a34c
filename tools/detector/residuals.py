"""How far a value lies from short and long memories of its series, many series at once.

Every memory is an exponentially weighted level; its residual is divided by the mean absolute
residual of the series' whole past (50,000 points), in which one outlier counts at most eight times
the mean. The result has no unit: it does not change when a series is scaled or shifted.
"""

import numpy as np
from numpy.typing import NDArray

from tools.types import FloatArray

SCALE_MEMORY = 2e-5
CLIP = 8.0
UNCLIPPED = 30
FLOOR = 1e-8
TINY = 1e-300
LIMIT = 1e6
DAY = 86400.0
HOURS = 24
HOUR_RATE = 0.05

BoolArray = NDArray[np.bool_]


def settle(scale: FloatArray, residual: FloatArray, seen: FloatArray) -> FloatArray:
    """The mean absolute residual after one more residual; `seen` counts the earlier ones."""
    size = np.abs(residual)
    bounded = (seen > UNCLIPPED) & (scale > 0)
    size = np.where(bounded, np.minimum(size, CLIP * scale), size)
    return scale + np.maximum(SCALE_MEMORY, 1.0 / np.maximum(seen, 1.0)) * (size - scale)


def standard(residual: FloatArray, scale: FloatArray, level: FloatArray) -> FloatArray:
    """Residuals in mean absolute residuals, within +-1e6."""
    unit = scale + FLOOR * np.abs(level) + TINY
    return np.clip(residual / unit, -LIMIT, LIMIT)


class Residuals:
    """Levels of several memories, `alphas`, for `n` series; state is (memories, series)."""

    def __init__(self, alphas: tuple[float, ...], n: int) -> None:
        self.alphas = np.array(alphas)[:, None]
        self.level = np.zeros((len(alphas), n))
        self.scale = np.zeros((len(alphas), n))
        self.seen = np.zeros(n)

    def extend(self, n: int) -> None:
        """Room for `n` more series."""
        self.level = np.pad(self.level, ((0, 0), (0, n)))
        self.scale = np.pad(self.scale, ((0, 0), (0, n)))
        self.seen = np.pad(self.seen, (0, n))

    def step(self, values: FloatArray, there: BoolArray | None) -> FloatArray:
        """Standardised residuals of one value per series; `there` None means all are finite."""
        first = self.seen == 0
        if first.any():
            self.level[:, first] = values[first]
        residual = values - self.level
        z = standard(residual, self.scale, self.level)
        scale = settle(self.scale, residual, self.seen)
        level = self.level + np.maximum(self.alphas, 1.0 / (self.seen + 1.0)) * residual
        if there is None:
            self.scale, self.level = np.where(first, 0.0, scale), level
            self.seen = self.seen + 1.0
            return z
        self.scale = np.where(there & ~first, scale, self.scale)
        self.level = np.where(there, level, self.level)
        self.seen = self.seen + there
        return np.where(there, z, 0.0)


class HourProfile:
    """The level of each hour of the day and the residual from it, for one series."""

    def __init__(self) -> None:
        self.level = np.full(HOURS, np.nan)
        self.scale = 0.0
        self.seen = 0

    def step(self, t: float, value: float) -> float:
        """Standardised residual from the hour's level; 0 the first time an hour is seen."""
        hour = int((t % DAY) / DAY * HOURS)
        level = float(self.level[hour])
        self.seen += 1
        if level != level:
            self.level[hour] = value
            return 0.0
        residual = value - level
        unit = self.scale + FLOOR * abs(level) + TINY
        z = min(max(residual / unit, -LIMIT), LIMIT) if self.scale > 0 else 0.0
        size = abs(residual)
        if self.scale > 0:
            size = min(size, CLIP * self.scale)
            self.scale += max(SCALE_MEMORY, 1.0 / self.seen) * (size - self.scale)
        else:
            self.scale = size
        self.level[hour] = level + HOUR_RATE * residual
        return z
