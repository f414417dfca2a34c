"""What is normal for a quantity: one robust estimate of its level, its scale and its band.

The copilot's instruments ask this module, except a detector with a fitted model of its own
(`tools/detector/model.py` and what it scores) and what a forecast leaves over (`trend.py`).
Measured with other estimators in its place: docs/decisions/normal-and-impact.md.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from tools.types import FloatArray

BoolArray = npt.NDArray[np.bool_]

MAD, TAIL = 1.4826, 1.645
"""Factors from the median and from the 90th percentile of the distances to a normal distribution's
deviation: 1 / 0.6745, and what the second is divided by. source: Hampel, The influence curve and
its role in robust estimation (1974); tables of the normal distribution."""

FLOOR = 0.05
"""Least scale, as a share of the level: a series that hardly moves has none of its own, and one
more open file would leave it. source: docs/decisions/normal-and-impact.md, measured."""

DEPARTS = 4.0
"""Scales from its level at which a point has departed: in a normal distribution one point of
16,000 does. source: Hampel's identifier, as in Davies and Gather (1993), at a wider limit."""

FEWEST, ENOUGH = 3, 8
"""Points without which nothing is said, and those from which on a past needs no other beside it:
from eight on the 90th percentile is none of the two largest. source: by definition."""

SMALLEST = 1e-9
"""Scale of what never moved and stands at 0. source: far below the step of any counter."""

LOW, MIDDLE, HIGH, RARE = 1, 50, 99, 90
"""Percentiles: the ends of the band, the median, and the distance of `TAIL`.
source: two of a hundred points lie outside the band by definition."""


def percentile(ranked: FloatArray, percent: float) -> float:
    """Return a percentile of values in ascending order, as `numpy.percentile` does.

    That function takes 40 microseconds whatever the size, and a brief asks it of every series.

    >>> percentile(np.array([1.0, 2.0, 4.0, 8.0]), 50)
    3.0
    """
    place = percent / 100.0 * (ranked.size - 1)
    below = int(place)
    part, low = place - below, float(ranked[below])
    if not part:
        return low
    high = float(ranked[below + 1])
    # From the nearer end, so that a percentile of equal values is that value.
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1.0 - part)


@dataclass(frozen=True, slots=True)
class Normal:
    """A past in four figures, in its own unit.

    `level` is the median. `spread` is the wider of 1.4826 × the median and 1 / 1.645 × the 90th
    percentile of the distances from it: both are the standard deviation of normal noise; the first
    is not moved by a fault inside the past, the second knows of usual bursts. `scale` is `spread`,
    at least a share of the level. `low` and `high` are the 1st and the 99th percentile.

    >>> Normal.of(np.array([9.0, 10.0, 11.0, 10.0, 10.0])).departs(np.array([10.5, 14.0]))
    array([False,  True])
    """

    level: float
    spread: float
    scale: float
    low: float
    high: float

    @classmethod
    def of(cls, past: FloatArray, floor: float = FLOOR, least: float = 0.0) -> Self | None:
        """Estimate from finite points, in any order; None where they are fewer than three.

        `floor` is the least scale as a share of the level, `least` in the unit of the points.
        """
        if past.size < FEWEST:
            return None
        ranked = np.sort(past)
        low, level, high = (percentile(ranked, one) for one in (LOW, MIDDLE, HIGH))
        distances = np.sort(np.abs(past - level))
        usual, rare = percentile(distances, MIDDLE), percentile(distances, RARE)
        spread = max(MAD * usual, rare / TAIL)
        return cls(level, spread, max(spread, floor * abs(level), least, SMALLEST), low, high)

    def z(self, values: FloatArray) -> FloatArray:
        """How many scales each value lies above the level; negative below."""
        return (values - self.level) / self.scale

    def departs(self, values: FloatArray) -> BoolArray:
        """Which values are too far from the level to be of the same kind as the past."""
        return np.asarray(np.abs(self.z(values)) > DEPARTS, dtype=np.bool_)

    @property
    def band(self) -> tuple[float, float]:
        """Where the past itself may lie: its percentiles, and `DEPARTS` spreads on either side."""
        reach = DEPARTS * self.spread
        return min(self.low, self.level - reach), max(self.high, self.level + reach)
