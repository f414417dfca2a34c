"""How far a series left its past: robust, with a floor so that quiet series do not shout."""

from dataclasses import dataclass

import numpy as np

from tools.types import FloatArray, Series, Timestamp

_MIN_BEFORE = 3
_MAD_TO_SIGMA = 1.349
_REL_FLOOR = 0.05


@dataclass(frozen=True, slots=True)
class Deviation:
    """`z` = (value - baseline) / scale, positive upwards.

    `value` is the mean of the fifth of the points since the onset that moved furthest to its
    side, `baseline` the median before, `scale` the wider of IQR / 1.349, half the range from the
    1st to the 99th percentile / 2.33 and 5 % of the baseline. `steady` is the share of points
    since the onset that lie outside all but 2 % of the past, `fresh` the share of the change that
    came with the onset: 0 where the series already stood there just before.
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
    step = float(np.median(np.diff(times))) if times.size > 2 else 0.0
    return int(np.searchsorted(times, onset - 0.999 * step, side="left"))


def deviation(
    before: FloatArray,
    times: FloatArray,
    after: FloatArray,
    floor: float = 0.0,
    just_before: FloatArray | None = None,
    relative: float = _REL_FLOOR,
) -> Deviation | None:
    """Compare `after` (at `times`) with `before`; None where there is too little of either."""
    if before.size < _MIN_BEFORE or after.size == 0:
        return None
    low, q1, middle, q3, high = np.percentile(before, [1, 25, 50, 75, 99])
    scale = max(
        float(q3 - q1) / _MAD_TO_SIGMA,
        float(high - low) / 4.66,
        relative * abs(float(middle)),
        floor,
        1e-9,
    )
    count = max(1, -(-after.size // 5))
    ordered = np.sort(after)
    up, down = float(ordered[-count:].mean()), float(ordered[:count].mean())
    value = up if up - middle >= middle - down else down
    margin = 0.5 * scale
    out = (after > high + margin) if value >= middle else (after < low - margin)
    first = float(times[int(np.argmax(out))]) if out.any() else None
    fresh = 1.0
    if just_before is not None and just_before.size and value != middle:
        fresh = float(np.clip((value - np.median(just_before)) / (value - middle), 0.0, 1.0))
    return Deviation(value, float(middle), scale, float(out.mean()), first, fresh)
