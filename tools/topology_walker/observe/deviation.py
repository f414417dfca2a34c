"""How far a series left its past: robust, with a floor so that quiet series do not shout."""

from dataclasses import dataclass

import numpy as np

from tools.normal import FLOOR, MIDDLE, Normal, percentile
from tools.types import FloatArray, Series, Timestamp

TAILS = 4.653
"""Distance between the 1st and 99th percentile of a normal distribution of deviation 1.
source: tables of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """`z` = (value - baseline) / scale, positive upwards.

    `value` is the mean of the fifth of the points since the onset that moved furthest to its
    side, `baseline` the level of what was normal before (`tools.normal`). `scale` is the wider of
    its scale and its band / 4.653: who is accused has to stand out of the rarest of the past, too.
    Without that a case of `bi` and one of `ps` are lost (docs/decisions/normal-and-impact.md).
    `steady` is the share of points since the onset that lie outside all but 2 % of the past,
    `fresh` the share of the change that came with the onset: 0 where the series already stood there
    just before.
    """

    value: float
    baseline: float
    scale: float
    steady: float
    first_out: Timestamp | None
    fresh: float

    @property
    def z(self) -> float:
        return (self.value - self.baseline) / self.scale

    @property
    def change(self) -> float:
        return self.value - self.baseline


def finite(one: Series) -> tuple[FloatArray, FloatArray]:
    """Times and values without the missing points."""
    keep = np.isfinite(one.values)
    return one.times[keep], one.values[keep]


def since(times: FloatArray, onset: Timestamp) -> int:
    """Index of the first point that measures time after the onset.

    A point may stand for the interval that follows it, so the one just before the onset counts.
    """
    steps = np.sort(times[1:] - times[:-1])
    step = percentile(steps, MIDDLE) if times.size > 2 else 0.0
    return int(np.searchsorted(times, onset - 0.999 * step, side="left"))


def deviation(
    before: FloatArray,
    times: FloatArray,
    after: FloatArray,
    floor: float = 0.0,
    just_before: FloatArray | None = None,
    relative: float = FLOOR,
) -> Deviation | None:
    """Compare `after` (at `times`) with `before`; None where there is too little of either."""
    normal = Normal.of(before, relative, floor)
    if normal is None or after.size == 0:
        return None
    scale = max(normal.scale, (normal.high - normal.low) / TAILS)
    middle, margin = normal.level, 0.5 * scale
    count = max(1, -(-after.size // 5))
    ordered = np.sort(after)
    up, down = float(ordered[-count:].mean()), float(ordered[:count].mean())
    value = up if up - middle >= middle - down else down
    out = (after > normal.high + margin) if value >= middle else (after < normal.low - margin)
    first = float(times[int(np.argmax(out))]) if out.any() else None
    fresh = 1.0
    if just_before is not None and just_before.size and value != middle:
        fresh = float(np.clip((value - np.median(just_before)) / (value - middle), 0.0, 1.0))
    return Deviation(value, middle, scale, float(out.mean()), first, fresh)
