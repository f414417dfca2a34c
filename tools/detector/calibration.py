"""The threshold that each series sets for itself, from the largest sizes of its past.

The past is cut into blocks of 120 points. The largest size of a block follows, in logarithms, a
Gumbel distribution (Frechet's law of maxima: Embrechts, Kluppelberg and Mikosch, Modelling Extremal
Events, 1997, chapter 3), `P(max <= size) = exp(-(size / m) ** (-1 / gamma))`, so that a larger
size comes up `120 ** -1 * (size / m) ** (-1 / gamma)` times a point. `m` and `gamma` are read from
the quartiles of all blocks so far (Hosking, Wallis and Wood, Technometrics 27, 1985, fit by order
statistics too): a fault that lasts hours is a few blocks of hundreds, and three blocks in four may
hold what they like.
"""

from math import log

import numpy as np
from numpy.typing import NDArray

from tools.normal import BoolArray
from tools.types import FloatArray

IntArray = NDArray[np.int64]

RATE = 1.0 / 720.0
"""False episodes a point at the level; source: two a day of a series with a point a minute."""

BLOCK = 120
"""Points; 60 to 240 measured alike where the past is weeks: docs/diary/detection.md."""

FIRST, LONGER = 30, 10
"""Points of a series' first block, and by how many each is longer than the one before: an hour of
past says something too, and its largest size counts for that of a whole block by `GAMMA`."""

START, GAMMA, BELIEVED = 3.0, 0.3, 4
"""The level and tail before anything is known, which count as much as that many blocks."""

GAMMA_LEAST = 0.05
LEAST, USUAL, ALL = 0.4, 30.0, 5e6
"""Sizes in mean residuals: most maxima lie between the first two, where the bins are fine; beyond,
to the largest there can be (`LIMIT` of `residuals` over the least), they are coarse."""

MOST = 255
"""Blocks in one bin, from which on all count half, so that a series of months may change (and a
count is a byte)."""

TINIEST = 1e-300
LOW, HIGH = 0.25, 0.75


def _gumbel(probability: float | FloatArray) -> FloatArray:
    return np.asarray(-np.log(-np.log(probability)))


LOW_AT, HIGH_AT = float(_gumbel(LOW)), float(_gumbel(HIGH))
EDGES = np.concatenate(
    (np.linspace(log(LEAST), log(USUAL), 72), np.linspace(log(USUAL), log(ALL), 25)[1:])
)
"""Of the bins of a histogram of logarithms of sizes."""


def _bins(logarithms: FloatArray) -> IntArray:
    return np.clip(np.searchsorted(EDGES, logarithms, side="right") - 1, 0, len(EDGES) - 2)


def _prior(block: int) -> NDArray[np.uint8]:
    middle = log(START) + GAMMA * log(RATE * block)
    quantiles = _gumbel((np.arange(BELIEVED) + 0.5) / BELIEVED)
    counts = np.bincount(_bins(middle + GAMMA * quantiles), minlength=len(EDGES) - 1)
    return counts.astype(np.uint8)


class Calibration:
    """The level, tail index and block maxima of `n` series."""

    def __init__(self, n: int, block: int = BLOCK) -> None:
        self._block = block
        self.level = np.full(n, START)
        self.gamma = np.full(n, GAMMA)
        self.peak = np.zeros(n)
        self.held = np.zeros(n, dtype=np.uint8)
        self.span = np.full(n, FIRST, dtype=np.uint8)
        self.blocks = np.tile(_prior(block), (n, 1))

    def extend(self, n: int) -> None:
        """Add `n` series with the starting level."""
        for name, value in _arrays(Calibration(n, self._block)).items():
            setattr(self, name, np.concatenate((getattr(self, name), value)))

    def keep(self, which: BoolArray) -> None:
        """Keep the state of the series that `which` marks and drop the others."""
        for name, value in _arrays(self).items():
            setattr(self, name, value[which])

    def step(self, size: FloatArray, there: BoolArray | None) -> FloatArray:
        """Sizes as multiples of the level before this point; then learn from them."""
        ratio: FloatArray = size / self.level
        if there is None:
            np.maximum(self.peak, size, out=self.peak)
            self.held += 1
        else:
            np.maximum(self.peak, size, out=self.peak, where=there)
            self.held += there
        full = np.flatnonzero(self.held >= self.span)
        if len(full):
            self.learn(full, self.peak[full])
            self.peak[full] = 0.0
            self.held[full] = 0
        return ratio

    def learn(self, at: IntArray, peaks: FloatArray) -> None:
        """Take the largest sizes of one block of each of some series; not of the first block, in
        which the scale of a series is not known yet.
        """
        longer = np.log(self._block / self.span[at])
        logarithms = np.log(np.maximum(peaks, TINIEST)) + GAMMA * longer
        self.span[at] = np.minimum(self.span[at] + LONGER, self._block)
        self.blocks[at, _bins(logarithms)] += self.span[at] > FIRST + LONGER
        many = at[self.blocks[at].max(axis=1) == MOST]
        self.blocks[many] //= 2
        counts = self.blocks[at]
        low, high = _quantile(counts, LOW), _quantile(counts, HIGH)
        gamma = np.maximum((high - low) / (HIGH_AT - LOW_AT), GAMMA_LEAST)
        self.gamma[at] = gamma
        self.level[at] = np.exp(low - gamma * (LOW_AT + log(RATE * self._block)))


def _arrays(one: Calibration) -> dict[str, NDArray[np.float64]]:
    return {name: value for name, value in vars(one).items() if isinstance(value, np.ndarray)}


def _quantile(counts: NDArray[np.uint8], share: float) -> FloatArray:
    """The quantile of each row of histograms, straight within its bin."""
    before = np.cumsum(counts, axis=1, dtype=np.float64)
    wanted = share * before[:, -1]
    place = np.argmax(before >= wanted[:, None], axis=1)
    rows = np.arange(len(counts))
    inside = counts[rows, place].astype(np.float64)
    part = (wanted - before[rows, place] + inside) / np.maximum(inside, 1.0)
    value: FloatArray = EDGES[place] + part * (EDGES[place + 1] - EDGES[place])
    return value


def tail_probability(ratio: float, gamma: float) -> float:
    """Chance per point of an episode at least this large; 1 below a tenth of the level."""
    if ratio <= 0.1:
        return 1.0
    return float(min(1.0, max(TINIEST, RATE * ratio ** (-1.0 / gamma))))


def ratio_at(tail: float, gamma: FloatArray) -> FloatArray:
    """The multiple of the level that is exceeded with probability `tail`."""
    return np.power(RATE / tail, gamma)
