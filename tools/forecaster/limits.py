"""When a resource reaches its limit: disk, memory, descriptors, connections, quota, certificates.

A line through the past that still resembles the present, with the usual course of the day and week
on top. The slope is the median of all pairwise slopes (Theil 1950, Sen 1968: right while fewer than
29 % of the points are wild). The past is taken in doubled windows for as long as the older half
goes on as the newer one does (intervals of homogeneity, Mercurio and Spokoiny 2004). What empties
itself again and again (compaction, rotation, garbage collection) is judged by its peaks.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.types import FloatArray, FrozenModel, Series, Timestamp

HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0

Z90 = 1.645
"""Half width of a 90 % interval in standard errors of a normal distribution."""

POINTS = 32
"""A window is read as the medians of so many stretches: a million points cost as much
(docs/decisions/forecast.md)."""

FEWEST = 8
"""Points below which there is no line (docs/decisions/forecast.md)."""

UNLIKE = 3.0
"""Standard errors by which two halves of a window differ that are not one line
(docs/decisions/forecast.md)."""

FURTHEST = 8.0
"""A line is carried forward for at most so many times the past that it rests on. The rules of
node-exporter's and Kubernetes' mixins use 4 and 16 (6 h for 24 h; 6 h for 4 days); what each
multiple costs: docs/decisions/forecast.md."""

RESET_SHARE, RESET_STEPS = 0.3, 12.0
"""A fall within one step by this share of the span and so many usual steps empties a resource
(docs/decisions/forecast.md)."""

IN_TIME = 0.95
"""A resource that was emptied below this share of its limit was emptied in time
(docs/decisions/forecast.md)."""

PEAKS = 4
"""Peaks that make a line; of fewer the highest counts, and no trend."""

NOTHING = 5e-4
"""A share of the limit that is no movement: rounding, and counts of a few
(docs/decisions/forecast.md)."""

DOUBT, CONFORMAL = 0.25, 2.0
"""A leak need not go on as it did: the time left is in doubt by this share, beside what the line's
own errors say; and by how much both are widened so that 90 of 100 intervals hold the truth. Split
conformal on drawn resources, a kind judged by the others (docs/decisions/forecast.md)."""

LEAST = 1e-3
"""Share of the limit below which a level that grows by ratios counts as this."""

STEPS = 240
"""Moments of the horizon that are looked at (docs/decisions/forecast.md)."""


Growth = Literal["additive", "ratio"]
"""As much in each hour · by a share in each hour."""


class LimitForecast(FrozenModel):
    """When a series reaches `limit`: the middle, and the edges of a 90 % interval.

    None: not within the horizon, not at all, or by a line that may as well be level. `since` is
    when the past begins that it rests on, `slope` is in units an hour, `cycles` says that the
    resource empties itself and its peaks are meant.
    """

    owner: str
    metric: str
    now: Timestamp
    level: float
    limit: float
    slope: float
    since: Timestamp
    points: int
    cycles: bool = False
    at: Timestamp | None = None
    earliest: Timestamp | None = None
    latest: Timestamp | None = None


class _Line(NamedTuple):
    """A line by its value at the last moment, its slope a second and the errors of both."""

    level: float
    slope: float
    level_error: float
    slope_error: float
    spread: float


@dataclass(frozen=True, slots=True)
class _Course:
    """The usual hours of the day, and what those of the week add to them."""

    hours: FloatArray
    week: FloatArray

    def at(self, times: FloatArray) -> FloatArray:
        found: FloatArray = self.hours[_hour(times)] + self.week[_weekday(times), _hour(times)]
        return found


def time_to_limit(
    series: Series, limit: float, horizon_s: float, growth: Growth = "additive"
) -> LimitForecast:
    """When `series` rises to `limit` within the horizon; raises ValueError where it is too short.

    What grows by ratios (traffic, and the capacity it takes) is foretold from two weeks on: a
    Monday after a weekend is no trend.

    >>> t = np.arange(200) * 600.0
    >>> full = time_to_limit(Series("db", "disk_used_pct", t, 50 + t / 6000), 90.0, 4 * 86400.0)
    >>> round((full.at - t[-1]) / 3600)
    33
    """
    times, values = _known(series)
    if len(times) < FEWEST:
        raise ValueError(f"{series.name!r} has {len(times)} values; a forecast needs {FEWEST}")
    if not (0 < horizon_s < np.inf and np.isfinite(limit)):
        raise ValueError(f"limit and horizon_s must be finite, not {limit!r} and {horizon_s!r}")
    now, level = float(times[-1]), float(values[-1])
    if growth == "ratio":
        if limit <= 0:
            raise ValueError(f"growth by ratios needs a positive limit, not {limit!r}")
        values = np.log(np.maximum(values / limit, LEAST))
    top = limit if growth == "additive" else 0.0
    past = _past(times, values, top, NOTHING * abs(limit) if growth == "additive" else NOTHING)
    found = LimitForecast(
        owner=series.owner,
        metric=series.metric,
        now=now,
        level=level,
        limit=limit,
        slope=past.line.slope * HOUR * (1.0 if growth == "additive" else level),
        since=past.since,
        points=int((times >= past.since).sum()),
        cycles=past.cycles,
    )
    if level >= limit:
        return found.model_copy(update=dict.fromkeys(("at", "earliest", "latest"), now))
    known = now - times[0] >= 2 * WEEK - HOUR or growth == "additive"
    if not known or past.line.slope <= Z90 * past.line.slope_error:
        return found
    return found.model_copy(update=_crossing(past, now, top, horizon_s))


def _crossing(past: "_Past", now: Timestamp, limit: float, horizon_s: float) -> dict[str, float]:
    """When the limit is reached, with its interval; empty where it is not within the horizon."""
    line = past.line
    ahead = np.linspace(0.0, min(horizon_s, FURTHEST * (now - past.since)), STEPS + 1)
    over = line.level + line.slope * ahead + past.course.at(now + ahead) - limit
    half = Z90 * np.hypot(np.hypot(line.level_error, line.spread), line.slope_error * ahead)
    middle, soon, late = (_first(ahead, one) for one in (over, over + half, over - half))
    if middle is None or soon is None or late is None:
        return {}
    before = CONFORMAL * float(np.hypot(middle - soon, DOUBT * middle))
    after = CONFORMAL * float(np.hypot(late - middle, DOUBT * middle))
    return {
        "at": now + middle,
        "earliest": now + max(0.0, middle - before),
        "latest": now + middle + after,
    }


class _Past(NamedTuple):
    """What a forecast rests on: a line since a moment, and the usual course on top of it."""

    since: Timestamp
    line: _Line
    course: _Course
    cycles: bool


def _past(times: FloatArray, values: FloatArray, limit: float, nothing: float) -> _Past:
    resets = _resets(values)
    peaks = _peaks(times, values, resets, limit)
    if peaks is not None:
        at, line = peaks[0], _fit(*peaks)
        line = line._replace(level=line.level + line.slope * float(times[-1] - at[-1]))
        return _Past(float(at[0]), line, _Course(np.zeros(24), np.zeros((7, 24))), cycles=True)
    first = int(resets[-1]) + 1 if len(resets) else 0
    first = first if len(times) - first >= FEWEST else 0
    times, values = times[first:], values[first:]
    course = _course(times, values)
    since, line = _homogeneous(times, values - course.at(times), nothing)
    return _Past(since, line, course, cycles=False)


def _known(series: Series) -> tuple[FloatArray, FloatArray]:
    times = np.asarray(series.times, dtype=np.float64)
    values = np.asarray(series.values, dtype=np.float64)
    known = np.isfinite(times) & np.isfinite(values) & (np.abs(values) < 1e100)
    times, place = np.unique(times[known], return_index=True)
    return times, values[known][place]


def _hour(times: FloatArray) -> NDArray[np.int64]:
    return (times // HOUR).astype(np.int64) % 24


def _weekday(times: FloatArray) -> NDArray[np.int64]:
    return (times // DAY).astype(np.int64) % 7


def _resets(values: FloatArray) -> NDArray[np.int64]:
    """Where the resource was emptied: the last point before each fall that dwarfs other steps."""
    steps = np.diff(values)
    usual = float(np.median(np.abs(steps)))
    span = float(np.quantile(values, 0.98) - np.quantile(values, 0.02))
    found: NDArray[np.int64] = np.flatnonzero(
        (steps < -RESET_SHARE * span) & (steps < -RESET_STEPS * usual)
    )
    return found


def _peaks(
    times: FloatArray, values: FloatArray, resets: NDArray[np.int64], limit: float
) -> tuple[FloatArray, FloatArray] | None:
    """The peaks of what was emptied in time; None where it was not, or where it exceeds them now.

    A reset at the limit (a process killed for its memory) emptied nothing in time.
    """
    at, level = times[resets], values[resets]
    highest = float(level.max()) if len(level) else np.inf
    if values[-1] > highest or highest >= limit - (1.0 - IN_TIME) * (abs(limit) or 1.0):
        return None
    return (at, level) if len(at) >= PEAKS else (times[-1:] - DAY, np.array([highest]))


def _fit(times: FloatArray, values: FloatArray) -> _Line:
    """A line through medians of stretches; errors grow with how alike neighbours' residuals are."""
    t, v = _stretches(times - times[-1], values)
    if len(t) < 3:
        return _Line(float(v[-1]), 0.0, 0.0, 0.0, 0.0)
    i, j = _pairs(len(t))
    slope = float(np.median((v[j] - v[i]) / np.maximum(t[j] - t[i], 1e-9)))
    middle = float(np.median(t))
    centre = float(np.median(v - slope * (t - middle)))
    left = v - centre - slope * (t - middle)
    spread = 1.4826 * float(np.median(np.abs(left)))
    deviation = max(spread, float(left.std()) / 2.0)
    alike = float(np.clip(left[:-1] @ left[1:] / max(float(left @ left), 1e-300), 0.0, 0.95))
    # Residuals alike by r carry the news of (1 - r) / (1 + r) as many (Bartlett 1935).
    error = deviation / np.sqrt(len(t)) * np.sqrt((1.0 + alike) / (1.0 - alike))
    slope_error = float(error / max(float(t.std()), 1e-9))
    return _Line(
        centre - slope * middle, slope, float(np.hypot(error, slope_error * middle)), slope_error,
        spread,
    )  # fmt: skip


@lru_cache(maxsize=POINTS)
def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(count, k=1)


def _stretches(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    wide = len(times) // POINTS
    if wide < 2:
        return times[-POINTS:], values[-POINTS:]
    # The oldest points that fill no stretch are left out.
    t, v = (one[-wide * POINTS :].reshape(POINTS, wide) for one in (times, values))
    return (t[:, 0] + t[:, -1]) / 2.0, np.median(v, axis=1)


def _homogeneous(times: FloatArray, values: FloatArray, nothing: float) -> tuple[Timestamp, _Line]:
    """The longest past that is one line with the present, and the line."""
    first = max(0, len(times) - FEWEST)
    steps = np.diff(values)
    steps = np.minimum(np.abs(steps), np.quantile(np.abs(steps), 0.995))
    unrest = float(np.sqrt(np.mean(steps**2)) * np.sqrt(FEWEST)) + nothing
    line = _fit(times[first:], values[first:])
    while first > 0:
        before = max(0, 2 * first - len(times))
        if first - before < FEWEST // 2:
            break
        older, newer = _fit(times[before:first], values[before:first]), line
        apart = float(times[-1] - times[first])
        gap = newer.level - newer.slope * apart - older.level
        gap_error = np.hypot(np.hypot(newer.level_error, newer.slope_error * apart),
                             older.level_error)  # fmt: skip
        bend = abs(newer.slope - older.slope)
        bend_error = np.hypot(newer.slope_error, older.slope_error) + unrest / apart
        if bend > UNLIKE * bend_error or abs(gap) > UNLIKE * (gap_error + unrest):
            break
        first = before
        line = _fit(times[first:], values[first:])
    return float(times[first]), line


def _course(times: FloatArray, values: FloatArray) -> _Course:
    """What hours of the day (from two days on) and days of the week (from two weeks on) add."""
    hours, week = np.zeros(24), np.zeros((7, 24))
    span = times[-1] - times[0]
    if span < 2 * DAY:
        return _Course(hours, week)
    # Against the middle of the day around: a trend must not pass for a course of the day.
    day = ((times - times[0]) // DAY).astype(np.int64)
    edges = np.flatnonzero(np.diff(day)) + 1
    middles = np.array([float(np.median(one)) for one in np.split(values, edges)])
    centres = np.array([float(one.mean()) for one in np.split(times, edges)])
    if span >= 2 * WEEK - HOUR:
        line = _fit(centres, middles)
        left = values - line.level - line.slope * (times - centres[-1])
        place = _weekday(times) * 24 + _hour(times)
        week = np.bincount(place, left, 168) / np.maximum(np.bincount(place, None, 168), 1)
        return _Course(hours, week.reshape(7, 24))
    trend = np.interp(times, centres, middles)
    hour = _hour(times)
    for one in range(24):
        inside = (values - trend)[hour == one]
        hours[one] = float(np.median(inside)) if len(inside) else 0.0
    return _Course(hours - hours.mean(), week)


def _first(times: FloatArray, over: FloatArray) -> Timestamp | None:
    """The first moment `over` reaches zero, between two moments by a straight line."""
    at = np.flatnonzero(over >= 0.0)
    if len(at) == 0:
        return None
    i = int(at[0])
    if i == 0:
        return float(times[0])
    share = over[i - 1] / (over[i - 1] - over[i])
    return float(times[i - 1] + share * (times[i] - times[i - 1]))
