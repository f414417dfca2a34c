"""When did this incident begin? Searched across many series around the alert.

Each series is compared with what is normal for it (`tools.normal`, of the quiet time before, or of
the baseline where there is none). At every sample the
mean of the minute after is compared with that of the five minutes before, in the tenth of the
series that change most; the first of the largest changes is the onset, where as many series leave
their normal levels: what a gap in the data shifts is not what breaks, and where a gap begins there
is no minute after to be compared. An alert is taken to come up to some minutes after what it is
about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from tools.detector.clean import gauges
from tools.detector.model import Onset
from tools.normal import DEPARTS, ENOUGH, MIDDLE, BoolArray, Normal, percentile
from tools.types import Anomaly, FloatArray, Series, Timestamp

LOOKBACK_S = 1800.0
FINEST_S = 0.1
AFTER_SAMPLES = 5.0
GUARD_S = 300.0
CAP = 8.0
LEAST = 1.0
BEFORE_S, BEFORE_LEAST = 300.0, 6
AFTER_S, AFTER_LEAST = 60.0, 2
MOST, MOST_LEAST = 0.1, 3
USUAL_S, FADE_S, EARLY_S, FARTHEST_S = 200.0, 300.0, 60.0, 1200.0
NEARLY = 0.9
STRONGEST = 10


@dataclass(frozen=True, slots=True)
class _Departure:
    """One series as departures from its normal level, in scales."""

    series: Series
    times: FloatArray
    values: FloatArray
    z: FloatArray
    normal: Normal


def onset(
    series: Sequence[Series],
    baseline: Sequence[Series],
    alerted_at: Timestamp,
) -> Onset:
    """Return the moment near `alerted_at` (Unix s) when the series left their normal levels.

    Works with any sampling from seconds to minutes, with few or no points before the alert, and
    with a baseline from another time or none. Without a departure the alert's own time is given,
    with low confidence.
    """
    series, baseline = gauges(series, baseline)
    known = {one.name: one.values for one in baseline}
    step = _sampling(series)
    departures = [
        found
        for one in series
        if (found := _departure(one, known.get(one.name), alerted_at, step)) is not None
    ]
    grid, rows = _lay(departures, alerted_at, step)
    change = np.zeros(1)
    if len(rows):
        change = _changes(rows, step) * _credible(grid, alerted_at, step) * _left(rows)
        change *= _covered(rows, step)
    place = _place(change)
    if change[place] < LEAST:
        return Onset(
            at=alerted_at,
            confidence=0.1,
            reason=f"none of {len(series)} series clearly left its normal level; the alert's time",
        )
    at = float(grid[place])
    strongest = _strongest(departures, at, alerted_at, step)
    moved = sum(1 for one in departures if _departs(one, at, at + 5.0 * step))
    return Onset(
        at=at,
        confidence=_confidence(change, place, step),
        anomalies=strongest,
        reason=f"{moved} of {len(departures)} series left their normal levels within five samples "
        f"of this moment, {alerted_at - at:.0f} s before the alert",
    )


def _confidence(change: FloatArray, place: int, step: float) -> float:
    """How far the change stands out of the next best that is not the same one."""
    apart = np.abs(np.arange(len(change)) - place) > max(2, round(AFTER_S / step))
    rival = float(change[apart].max(initial=0.0))
    size = float(change[place])
    return min(0.97, max(0.12, (1.0 - 0.5 * rival / size) * (1.0 - exp(-size / LEAST / 2.0))))


def _sampling(series: Sequence[Series]) -> float:
    """The usual interval between values, over all series; bounded, or the grid would not be."""
    known = [one.times for one in series if one.times.size > 1]
    steps = [percentile(np.sort(times[1:] - times[:-1]), MIDDLE) for times in known]
    return max(FINEST_S, float(np.median(steps))) if steps else 60.0


def _departure(
    one: Series, past: FloatArray | None, alerted_at: Timestamp, step: float
) -> _Departure | None:
    finite = np.isfinite(one.values)
    times, values = one.times[finite], one.values[finite]
    if len(values) < 2:
        return None
    quiet = values[times < alerted_at - max(GUARD_S, 2.0 * step)]
    if len(quiet) < ENOUGH and past is not None:
        quiet = np.concatenate((quiet, past[np.isfinite(past)]))
    if len(quiet) < ENOUGH:
        quiet = values[times < alerted_at]
    normal = Normal.of(quiet)
    if normal is None:
        return None
    return _Departure(one, times, values, normal.z(values), normal)


def _lay(
    departures: Sequence[_Departure], alerted_at: Timestamp, step: float
) -> tuple[FloatArray, FloatArray]:
    """The departures side by side on a grid of samples around the alert; NaN where no value."""
    first = alerted_at - LOOKBACK_S
    count = int((LOOKBACK_S + AFTER_SAMPLES * step) / step) + 1
    grid = (first + np.arange(count) * step).astype(np.float64)
    rows = np.full((len(departures), count), np.nan)
    for row, one in zip(rows, departures, strict=True):
        place = np.round((one.times - first) / step).astype(np.int64)
        inside = (place >= 0) & (place < count)
        row[place[inside]] = np.clip(one.z[inside], -CAP, CAP)
    return grid, rows


def _changes(rows: FloatArray, step: float) -> FloatArray:
    """Per sample: how far the series that change most differ between before and after it."""
    before = max(BEFORE_LEAST, int(BEFORE_S / step))
    after = max(AFTER_LEAST, round(AFTER_S / step))
    count = rows.shape[1]
    here = np.arange(count)
    start, stop = np.maximum(here - before, 0), np.minimum(here + after, count)
    known, mean, square = (_sums(part) for part in _moments(rows))
    old, new = known[:, here] - known[:, start], known[:, stop] - known[:, here]
    enough = (old >= 2) & (new >= 1)
    old_mean = (mean[:, here] - mean[:, start]) / np.maximum(old, 1)
    new_mean = (mean[:, stop] - mean[:, here]) / np.maximum(new, 1)
    variance = (square[:, here] - square[:, start]) / np.maximum(old, 1) - old_mean**2
    noise = 1.0 + 0.5 * np.sqrt(np.maximum(variance, 0.0))
    change = np.where(enough, np.abs(new_mean - old_mean) / noise, 0.0)
    most = max(MOST_LEAST, int(MOST * len(rows)))
    largest: FloatArray = -np.sort(-change, axis=0)[:most].mean(axis=0)
    return largest


def _moments(rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    finite = np.isfinite(rows)
    values = np.where(finite, rows, 0.0)
    return finite.astype(np.float64), values, values * values


def _sums(rows: FloatArray) -> FloatArray:
    return np.concatenate((np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)), axis=1)


def _credible(grid: FloatArray, alerted_at: Timestamp, step: float) -> FloatArray:
    """How likely an alert is to come this long after what it is about."""
    late = alerted_at - grid
    weight = np.exp(-np.maximum(late - USUAL_S, 0.0) / FADE_S)
    early = np.exp(np.minimum(late + step, 0.0) / EARLY_S)
    return np.where(late < -step, early, np.where(late > FARTHEST_S, 0.0, weight))


def _left(rows: FloatArray) -> FloatArray:
    """How many series are out of their normal levels soon after; half of the most is enough."""
    out: BoolArray = np.asarray(np.abs(rows) > DEPARTS)
    soon = out.copy()
    for ahead in range(1, int(AFTER_SAMPLES) + 1):
        soon[:, :-ahead] |= out[:, ahead:]
    left: FloatArray = soon.sum(axis=0).astype(np.float64)
    return np.minimum(1.0, left / max(0.5 * float(left.max()), 1.0))


def _covered(rows: FloatArray, step: float) -> BoolArray:
    """Where half of the minute after was measured by anybody, as far as it is not still to come."""
    measured: FloatArray = np.asarray(np.isfinite(rows).any(axis=0), dtype=np.float64)
    newest = int(np.flatnonzero(measured)[-1]) + 1 if measured.any() else 0
    here = np.arange(measured.size)
    stop = np.minimum(here + max(AFTER_LEAST, round(AFTER_S / step)), newest)
    known: FloatArray = np.concatenate((np.zeros(1), np.cumsum(measured)))
    found: FloatArray = known[np.maximum(stop, here)] - known[here]
    return np.asarray(found >= 0.5 * (stop - here), dtype=np.bool_)


def _place(change: FloatArray) -> int:
    """The first peak nearly as large as the largest."""
    best = int(np.argmax(change))
    padded = np.pad(change, 1)
    peaks = (change >= padded[:-2]) & (change >= padded[2:]) & (change >= NEARLY * change[best])
    return min(best, int(np.flatnonzero(peaks)[0]))


def _departs(one: _Departure, start: Timestamp, end: Timestamp) -> bool:
    inside = (one.times >= start) & (one.times <= end)
    return bool(one.normal.departs(one.values[inside]).any())


def _strongest(
    departures: Sequence[_Departure], at: Timestamp, alerted_at: Timestamp, step: float
) -> tuple[Anomaly, ...]:
    """The series that departed farthest between the onset and shortly after the alert."""
    end = max(alerted_at, at) + AFTER_SAMPLES * step
    found = []
    for one in departures:
        inside = np.flatnonzero((one.times >= at) & (one.times <= end))
        far = inside[one.normal.departs(one.values[inside])]
        if len(far) == 0:
            continue
        worst = int(far[np.argmax(np.abs(one.z[far]))])
        found.append((abs(float(one.z[worst])), one, int(far[0]), worst))
    found.sort(key=lambda row: (-row[0], row[1].series.name))
    return tuple(_anomaly(one, first, worst) for _, one, first, worst in found[:STRONGEST])


def _anomaly(one: _Departure, first: int, worst: int) -> Anomaly:
    z = float(one.z[worst])
    level, reach = one.normal.level, DEPARTS * one.normal.scale
    return Anomaly(
        owner=one.series.owner,
        metric=one.series.metric,
        onset=float(one.times[first]),
        end=None,
        direction="up" if z > 0 else "down",
        kind="level_shift" if worst > first else "spike",
        # Chebyshev's bound: true of any distribution, so it does not overstate a short baseline.
        score=min(1.0, 1.0 / (z * z)),
        observed=float(one.values[worst]),
        low=level - reach,
        high=level + reach,
        reason=f"{one.values[worst]:.5g}, {abs(z):.1f} deviations from its normal {level:.5g}",
    )
