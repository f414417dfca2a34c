"""The threshold that each series sets for itself: the size one episode in 700 points exceeds.

Exceedances are declustered before they count (a new one after 30 quiet points), as extreme value
theory asks: a fault that lasts an hour is one exceedance, not sixty, and does not raise the bar
for the next. Beyond the level the tail is a Pareto one, `p = rate * (size / level) ** (-1 / gamma)`
with Hill's estimate of gamma over the peaks of the clusters (Embrechts, Kluppelberg and Mikosch,
Modelling Extremal Events, 1997).
"""

import numpy as np
from numpy.typing import NDArray

from tools.normal import BoolArray
from tools.types import FloatArray

IntArray = NDArray[np.int64]

RATE = 1.0 / 700.0
START = 3.0
QUIET = 30.0
LONGEST = 300.0
SLOWEST = 0.005
GAMMA = 0.3
GAMMA_RATE = 0.02
GAMMA_LEAST = 0.05
PEAK_POINTS = 8.0
TINIEST = 1e-300


class Calibration:
    """The level, tail index and cluster state of `n` series."""

    def __init__(self, n: int) -> None:
        self.level = np.full(n, START)
        self.gamma = np.full(n, GAMMA)
        self.quiet = np.full(n, QUIET)
        self.run = np.zeros(n)
        self.peak = np.zeros(n)
        self.clusters = np.zeros(n)

    def extend(self, n: int) -> None:
        """Add `n` series with the starting level."""
        self.level = np.append(self.level, np.full(n, START))
        self.gamma = np.append(self.gamma, np.full(n, GAMMA))
        self.quiet = np.append(self.quiet, np.full(n, QUIET))
        self.run = np.append(self.run, np.zeros(n))
        self.peak = np.append(self.peak, np.zeros(n))
        self.clusters = np.append(self.clusters, np.zeros(n))

    def keep(self, which: BoolArray) -> None:
        """Keep the state of the series that `which` marks and drop the others."""
        for name, value in vars(self).items():
            setattr(self, name, value[which])

    def step(self, size: FloatArray, age: FloatArray, there: BoolArray | None) -> FloatArray:
        """Sizes as multiples of the level before this point; then learn from them.

        `age` is the number of values seen before, per series or of length one for all.
        """
        ratio: FloatArray = size / self.level
        over = ratio > 1.0
        if there is not None:
            over &= there
        pace = np.minimum(1.0, np.maximum(SLOWEST, 1.0 / (np.maximum(age, 1.0) * RATE)))
        on = np.flatnonzero(over)
        kept = self.level[on]
        fall = 1.0 + pace * (-0.5 * RATE)
        self.level *= fall if there is None else np.where(there, fall, 1.0)
        if len(on):
            paces = np.broadcast_to(pace, self.level.shape)[on]
            self.level[on] = kept * self._learn(ratio, on, paces)
        self.quiet += 1.0
        self.quiet[on] = 0.0
        return ratio

    def _learn(self, ratio: FloatArray, on: IntArray, pace: FloatArray) -> FloatArray:
        """Clusters: their length, peak and tail; returns what the levels are multiplied by."""
        starts = self.quiet[on] >= QUIET
        at = on[starts]
        known = at[self.peak[at] > 0]
        excess = np.log(self.peak[known])
        rate = np.maximum(GAMMA_RATE, 1.0 / (self.clusters[known] + 4.0))
        bounded = np.minimum(excess, 5.0 * self.gamma[known])
        tail = self.gamma[known] + rate * (bounded - self.gamma[known])
        self.gamma[known] = np.maximum(tail, GAMMA_LEAST)
        self.clusters[at] += 1.0
        self.run[at] = 0.0
        self.peak[at] = 0.0
        self.run[on] += 1.0
        early = on[self.run[on] <= PEAK_POINTS]
        self.peak[early] = np.maximum(self.peak[early], ratio[early])
        rise = np.where(starts, 1.0 + pace * (0.5 * (1.0 - RATE)), 1.0)
        endless = ~starts & (self.run[on] > LONGEST)
        return np.where(endless, 1.0 + pace * (0.5 * RATE), rise)


def tail_probability(ratio: float, gamma: float) -> float:
    """Chance per point of an episode at least this large; 1 below a tenth of the level."""
    if ratio <= 0.1:
        return 1.0
    return float(min(1.0, max(TINIEST, RATE * ratio ** (-1.0 / gamma))))


def ratio_at(tail: float, gamma: FloatArray) -> FloatArray:
    """The multiple of the level that is exceeded with probability `tail`."""
    return np.power(RATE / tail, gamma)
