"""How far a value lies from short and long memories of its series, many series at once.

Every memory is an exponentially weighted level; its residual is divided by the mean absolute
residual of the series' whole past (50,000 points), in which one outlier counts at most eight times
the mean. The result has no unit: it does not change when a series is scaled or shifted.
"""

import numpy as np
from numpy.typing import NDArray

from tools.normal import BoolArray
from tools.types import FloatArray

SCALE_MEMORY = 2e-5
CLIP = 8.0
UNCLIPPED = 30
FLOOR = 1e-8
TINY = 1e-200
"""Least unit: the largest measurement divided by it is still a number."""
LIMIT = 1e6
DAY = 86400.0
HOURS = 24
HOUR_RATE = 0.05


def hour_of_day(times: FloatArray) -> NDArray[np.int64]:
    """The hour, 0 to 23 UTC, of each time; one just before the epoch rounds to the next day."""
    return ((times % DAY) / DAY * HOURS).astype(np.int64) % HOURS


class Residuals:
    """Levels of several memories, `alphas`, for `n` series; state is (memories, series).

    After a step `before` holds the levels and scales the step was judged by.
    """

    def __init__(self, alphas: tuple[float, ...], n: int) -> None:
        self._alphas = np.array(alphas)[:, None]
        self.level = np.zeros((len(alphas), n))
        self.scale = np.zeros((len(alphas), n))
        self.seen = np.zeros(n)
        self._alike = True
        self._spare()

    def _spare(self) -> None:
        self.before = np.zeros_like(self.level), np.zeros_like(self.scale)
        self._unit = np.zeros_like(self.level)
        self._z = np.zeros_like(self.level)

    def extend(self, n: int) -> None:
        """Add `n` series without a past."""
        self.level = np.pad(self.level, ((0, 0), (0, n)))
        self.scale = np.pad(self.scale, ((0, 0), (0, n)))
        self._alike = self._alike and not self.seen.any()
        self.seen = np.pad(self.seen, (0, n))
        self._spare()

    def keep(self, which: BoolArray) -> None:
        """Keep the state of the series that `which` marks and drop the others."""
        self.level, self.scale = self.level[:, which], self.scale[:, which]
        self.seen = self.seen[which]
        self._spare()

    @property
    def age(self) -> FloatArray:
        """Values seen before, per series; of length one while all have seen the same number."""
        return self.seen[:1] if self._alike else self.seen

    def step(self, values: FloatArray, there: BoolArray | None) -> FloatArray:
        """Standardised residuals of one value per series; `there` None means all are finite.

        The result is only valid until the next step.
        """
        age = self.age
        if there is not None:
            self._alike = False
        if len(age) and age.min() == 0.0:
            new = self.seen == 0
            self.level[:, new] = values[new]
        level, scale = self.before
        residual, unit = self._z, self._unit
        np.subtract(values, self.level, out=residual)
        self._settle(residual, unit, scale, age)
        np.multiply(np.maximum(self._alphas, 1.0 / (age + 1.0)), residual, out=level)
        level += self.level
        if there is not None:
            np.copyto(level, self.level, where=~there)
            np.copyto(scale, self.scale, where=~there)
        self._standardise(residual, unit)
        self.before = self.level, self.scale
        self.level, self.scale = level, scale
        self.seen += 1.0 if there is None else there
        return residual if there is None else np.where(there, residual, 0.0)

    def _settle(
        self, residual: FloatArray, bound: FloatArray, scale: FloatArray, age: FloatArray
    ) -> None:
        """The mean absolute residuals after this point, written to `scale`."""
        np.abs(residual, out=scale)
        if len(age) and age.max() > UNCLIPPED:
            np.multiply(self.scale, CLIP, out=bound)
            np.copyto(bound, np.inf, where=self.scale == 0.0)
            if age.min() <= UNCLIPPED:
                np.copyto(bound, np.inf, where=age <= UNCLIPPED)
            np.minimum(scale, bound, out=scale)
        scale -= self.scale
        scale *= np.maximum(SCALE_MEMORY, 1.0 / np.maximum(age, 1.0))
        scale += self.scale
        if len(age) and age.min() == 0.0:
            np.copyto(scale, 0.0, where=age == 0.0)

    def _standardise(self, residual: FloatArray, unit: FloatArray) -> None:
        """Residuals in mean absolute residuals, within +-1e6, in place."""
        np.abs(self.level, out=unit)
        unit *= FLOOR
        unit += self.scale
        unit += TINY
        np.divide(residual, unit, out=residual)
        np.minimum(residual, LIMIT, out=residual)
        np.maximum(residual, -LIMIT, out=residual)


class HourProfile:
    """The level of each hour of the day and the residual from it, for one series."""

    def __init__(self) -> None:
        self.level = np.full(HOURS, np.nan)
        self.scale = 0.0
        self.seen = 0

    def step(self, t: float, value: float) -> float:
        """Standardised residual from the hour's level; 0 the first time an hour is seen."""
        hour = int((t % DAY) / DAY * HOURS) % HOURS
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
