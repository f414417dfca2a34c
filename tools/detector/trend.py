"""Where a series is heading, and when it crosses a limit: disk, memory, certificates, quota.

A line through the medians of up to 200 stretches of the series since its last reset, by the
median of all pairwise slopes (Theil 1950, Sen 1968: right while fewer than 29 % of the points are
wild), with the usual course of the day on top where two days or more are known. The band holds
the residuals and the doubt about the slope, and widens with the horizon.
"""

from dataclasses import dataclass

import numpy as np

from tools.detector.clean import ordered
from tools.detector.model import Forecast
from tools.detector.residuals import DAY, HOURS, hour_of_day
from tools.types import FloatArray, Series, Timestamp

STRETCHES = 200
WIDTH = 1.96
RESET_MADS = 12.0
RESET_SHARE = 0.3
STEPS = 400


@dataclass(frozen=True, slots=True)
class _Line:
    """value(t) = level + slope * (t - now) + hour profile, +- band."""

    now: Timestamp
    level: float
    slope: float
    spread: float
    slope_error: float
    hours: FloatArray

    def at(self, times: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Expected values and the half width of the band."""
        ahead = times - self.now
        expected = self.level + self.slope * ahead + self.hours[hour_of_day(times)]
        half: FloatArray = WIDTH * (self.spread + self.slope_error * np.abs(ahead))
        return expected, half


def forecast(series: Series, horizon_s: float, limit: float | None = None) -> Forecast:
    """The expected value and band at the horizon, and when `limit` is crossed on the way.

    Raises ValueError when the horizon is not positive and finite, the limit is not finite, or
    fewer than three values are known.

    >>> t = np.arange(100) * 60.0
    >>> full = forecast(Series("db", "disk_used_pct", t, 50 + t / 600), 86400.0, limit=90.0)
    >>> round(float(full.crosses_at - t[-1]) / 3600, 1)
    5.0
    """
    times, values = ordered(series)
    known = np.isfinite(values)
    times, values = times[known], values[known]
    if len(times) < 3:
        raise ValueError(f"{series.name!r} has {len(times)} values; a forecast needs at least 3")
    if not 0 < horizon_s < np.inf:
        raise ValueError(f"horizon_s must be positive and finite, not {horizon_s!r}")
    if limit is not None and not np.isfinite(limit):
        raise ValueError(f"limit must be a finite number or None, not {limit!r}")
    start = _last_reset(values)
    line = _fit(times[start:], values[start:])
    ahead = line.now + np.linspace(0.0, horizon_s, STEPS + 1)
    expected, half = line.at(ahead)
    crosses = _crossings(ahead, expected, half, values[-1], limit)
    return Forecast(
        owner=series.owner,
        metric=series.metric,
        at=float(ahead[-1]),
        expected=float(expected[-1]),
        low=float(expected[-1] - half[-1]),
        high=float(expected[-1] + half[-1]),
        limit=limit,
        crosses_at=crosses[0],
        earliest=crosses[1],
        latest=crosses[2],
        reason=_reason(line, len(times) - start, limit, crosses[0]),
    )


def _last_reset(values: FloatArray) -> int:
    """The first point after the last sudden step that dwarfs the usual ones.

    Steps both up and down are the way of the series (day and night, say), not resets.
    """
    signed = np.diff(values)
    steps = np.abs(signed)
    usual = float(np.median(np.abs(steps - np.median(steps)))) + float(np.median(steps))
    span = float(values.max() - values.min())
    resets = np.flatnonzero((steps > RESET_MADS * usual) & (steps > RESET_SHARE * span))
    one_way = len(set(np.sign(signed[resets]).tolist())) == 1
    last = int(resets[-1]) + 1 if one_way else 0
    return last if len(values) - last >= 3 else 0


def _fit(times: FloatArray, values: FloatArray) -> _Line:
    now = float(times[-1])
    hours = np.zeros(HOURS)
    t, v = _stretches(times - now, values)
    slope = _slope(t, v)
    if times[-1] - times[0] >= 2.0 * DAY:
        hours = _hours(times, values - slope * (times - now))
        values = values - hours[hour_of_day(times)]
        t, v = _stretches(times - now, values)
        slope = _slope(t, v)
    level = float(np.median(values - slope * (times - now)))
    residual = values - level - slope * (times - now)
    spread = 1.4826 * float(np.median(np.abs(residual))) + 1e-12 * abs(level)
    coarse = v - level - slope * t
    doubt = float(coarse.std()) / (np.sqrt(len(t)) * max(float(t.std()), 1e-9))
    return _Line(now, level, slope, spread, doubt, hours)


def _stretches(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Medians of equal stretches, so that ten million points cost as much as 200."""
    if len(times) <= STRETCHES:
        return times, values
    edges = np.linspace(0, len(times), STRETCHES + 1).astype(np.int64)
    pairs = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    t = np.array([float(np.median(times[a:b])) for a, b in pairs])
    return t, np.array([float(np.median(values[a:b])) for a, b in pairs])


def _slope(times: FloatArray, values: FloatArray) -> float:
    first, second = np.triu_indices(len(times), k=1)
    apart = times[second] - times[first]
    known = apart > 0  # far from the epoch, times that differ may round to one
    if not known.any():
        return 0.0
    return float(np.median((values[second] - values[first])[known] / apart[known]))


def _hours(times: FloatArray, values: FloatArray) -> FloatArray:
    """The median of each hour of the day, around zero."""
    hour = hour_of_day(times)
    overall = float(np.median(values))
    profile = np.zeros(HOURS)
    for place in range(HOURS):
        inside = values[hour == place]
        profile[place] = float(np.median(inside)) - overall if len(inside) else 0.0
    return profile


def _crossings(
    times: FloatArray,
    expected: FloatArray,
    half: FloatArray,
    last: float,
    limit: float | None,
) -> tuple[Timestamp | None, Timestamp | None, Timestamp | None]:
    """When the middle, the near edge and the far edge of the band reach the limit."""
    if limit is None:
        return None, None, None
    sign = 1.0 if last <= limit else -1.0
    middle = sign * (expected - limit)
    return (
        _first(times, middle),
        _first(times, middle + half),
        _first(times, middle - half),
    )


def _first(times: FloatArray, over: FloatArray) -> Timestamp | None:
    """The first moment `over` reaches zero, between grid points by a straight line."""
    at = np.flatnonzero(over >= 0.0)
    if len(at) == 0:
        return None
    i = int(at[0])
    if i == 0:
        return float(times[0])
    share = over[i - 1] / (over[i - 1] - over[i])
    return float(times[i - 1] + share * (times[i] - times[i - 1]))


def _reason(line: _Line, points: int, limit: float | None, crosses: Timestamp | None) -> str:
    pace = f"{line.slope * 3600.0:+.4g} an hour over {points} points"
    if limit is None:
        return pace
    if crosses is None:
        return f"{pace}; does not reach {limit:.5g} within the horizon"
    return f"{pace}; reaches {limit:.5g} in {(crosses - line.now) / 3600.0:.3g} hours"
