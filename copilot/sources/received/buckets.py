"""Buckets of a histogram: what was added to them, and the quantiles of several together.

Buckets are rows of (lower bound, upper bound, count), ascending and without overlap; empty ones are
left out. Explicit and exponential buckets are alike here, so instances may differ in their bounds.
"""

import sys

import numpy as np
from numpy.typing import NDArray

from tools.types import FloatArray

IntArray = NDArray[np.int64]

ENDLESS = sys.float_info.max
"""Stands for the bound of a bucket that has none; unlike infinity it can be calculated with."""

MOST_BOUNDS = 1000
"""Bounds of one service that are kept apart; beyond, they move to steps of 9 % (see `_snapped`)."""

ROUNDING = 1e-12

NONE: FloatArray = np.empty((0, 3))


def added(now: FloatArray, before: FloatArray) -> FloatArray:
    """What came into the buckets `now` since `before`.

    The bounds may have changed, as those of an exponential histogram do when it makes its buckets
    twice as wide: what lay in a bucket of before is taken to lie evenly in it.
    """
    if not now.size or not before.size:
        return now
    edges = before[:, :2].ravel()
    filled = np.repeat(np.cumsum(before[:, 2]), 2)
    filled[::2] -= before[:, 2]
    lower, upper = (np.interp(now[:, side], edges, filled) for side in (0, 1))
    gained = np.clip(now[:, 2] - (upper - lower), 0.0, now[:, 2])
    return np.column_stack([now[:, :2], gained])[gained > 0]


def scaled(buckets: FloatArray, factor: float) -> FloatArray:
    """The same buckets in another unit."""
    bounds = buckets[:, :2]
    endless = np.abs(bounds) == ENDLESS
    with np.errstate(over="ignore"):
        moved = np.clip(np.where(endless, bounds, bounds * factor), -ENDLESS, ENDLESS)
    return np.column_stack([moved, buckets[:, 2]])


def quantiles(parts: FloatArray, moments: IntArray, share: float) -> FloatArray:
    """The quantile `share` at the moments 0, 1, … of the buckets that `parts` (n, 3) have there.

    `moments` (n,) says to which moment each row belongs; rows of one moment may overlap. Inside a
    bucket observations are taken to lie evenly, and a bucket without an upper bound counts as its
    lower one: so does `histogram_quantile` of Prometheus (prometheus.io, "Query functions"). NaN
    where a moment has no observations.
    """
    if not parts.size:
        return np.empty(0)
    bounds, counts = _bounded(parts[:, :2]), parts[:, 2]
    edges, places = np.unique(bounds, return_inverse=True)
    first, until = places.reshape(-1, 2).T
    wide = first < until
    density = np.divide(counts, bounds[:, 1] - bounds[:, 0], out=np.zeros_like(counts), where=wide)
    slopes, jumps = np.zeros((2, int(moments.max()) + 1, edges.size))
    np.add.at(slopes, (moments, first), density)
    np.add.at(slopes, (moments, until), -density)
    np.add.at(jumps, (moments, first), np.where(wide, 0.0, counts))
    cells = np.maximum(np.cumsum(slopes, axis=1)[:, :-1], 0.0) * np.diff(edges)
    before = np.cumsum(jumps, axis=1) - jumps
    before[:, 1:] += np.cumsum(cells, axis=1)
    return _where_reached(edges, before, before + jumps, share)


def _where_reached(
    edges: FloatArray, before: FloatArray, reached: FloatArray, share: float
) -> FloatArray:
    """The value up to which a share of each row lies: `before` each edge, and with it."""
    total = reached[:, -1]
    wanted = share * total
    rows = np.arange(total.size)
    # Sums of floats fall short of a bucket's end by rounding.
    last = np.sum(reached < (wanted * (1 - ROUNDING))[:, np.newaxis], axis=1)
    last = np.minimum(last, edges.size - 1)
    start = np.maximum(last - 1, 0)
    missing, inside = wanted - reached[rows, start], before[rows, last] - reached[rows, start]
    part = np.divide(missing, inside, out=np.ones_like(missing), where=inside > 0)
    found = edges[start] + np.clip(part, 0.0, 1.0) * (edges[last] - edges[start])
    return np.where(total > 0, found, np.nan)


def _bounded(bounds: FloatArray) -> FloatArray:
    """Bounds that are none as the other side of the bucket; too many of them on common steps."""
    lower, upper = bounds[:, 0], bounds[:, 1]
    lower = np.where(lower == -ENDLESS, upper, lower)
    upper = np.where(upper == ENDLESS, lower, upper)
    found = np.column_stack([lower, upper])
    return _snapped(found) if len(np.unique(found)) > MOST_BOUNDS else found


def _snapped(bounds: FloatArray) -> FloatArray:
    """Bounds moved to the nearest eighth of a power of two, between 2^-64 and 2^64."""
    size = np.abs(bounds)
    with np.errstate(divide="ignore"):
        eighths = np.clip(np.round(8 * np.log2(size)), -512, 512)
    return np.asarray(np.sign(bounds) * np.where(size > 0, np.exp2(eighths / 8), 0.0))
