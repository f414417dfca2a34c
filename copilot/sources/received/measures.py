"""Data points that were sent to us, made series: rates of what is counted, by service."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from copilot.sources.received.rings import RingEntry, Rings, RingUsage
from tools.types import FloatArray, Series, Timestamp, Window

KNOWN_STREAMS = 50_000
"""Counters whose last total is remembered; a sender that invents labels forgets its own first."""

MOST_SERIES = 5000
RECORD = 400
"""Bytes that a point takes beside its names, roughly."""

HOLDS = 2.0
"""A value speaks for this many intervals of its stream, so that a late point makes no dip."""

Aggregation = Literal[
    "worst",  # the highest of all streams: utilisation, sizes
    "sum",  # of all streams: rates
    "share",  # sum of the values over the sum of the weights: means and percentages
]
Temporality = Literal[
    "now",  # the value as it is
    "since",  # gained since `start`
    "total",  # gained since the sender began; a fall is a new beginning
]


@dataclass(frozen=True, slots=True)
class DataPoint:
    """One measurement of one stream (an instance and its labels); `at`, `start` in Unix seconds."""

    at: Timestamp
    service: str
    metric: str
    unit: str
    stream: str
    value: float
    weight: float = 0.0
    way: Aggregation = "worst"
    kind: Temporality = "now"
    start: Timestamp = 0.0


class Measures:
    """Points of all senders, bounded in time and bytes; safe between threads."""

    def __init__(self, most_bytes: int, keep_s: float) -> None:
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[str, str, str], DataPoint] = OrderedDict()
        self._points: Rings[DataPoint] = Rings(most_bytes, keep_s)

    def take(self, points: Iterable[DataPoint], now: Timestamp) -> None:
        """Hold points; totals are held as what they gained per second since the one before."""
        with self._lock:
            told = [one for point in points for one in self._per_second(point)]
        self._points.take(
            (RingEntry(p.at, p.service, p, RECORD + len(p.service) + len(p.metric)) for p in told),
            now,
        )

    def held(self) -> RingUsage:
        """What is held now."""
        return self._points.held()

    def series(self, window: Window) -> tuple[Series, ...]:
        """One series per service and metric, on a grid of the pace at which its points come."""
        streams: dict[tuple[str, str], dict[str, list[DataPoint]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for point in self._points.between(window):
            streams[point.service, point.metric][point.stream].append(point)
        busiest = sorted(streams.values(), key=lambda one: -sum(map(len, one.values())))
        found = (_together(list(one.values()), window) for one in busiest[:MOST_SERIES])
        return tuple(one for one in found if one.times.size)

    def _per_second(self, point: DataPoint) -> Iterator[DataPoint]:
        if point.kind == "now":
            yield point
            return
        if point.kind == "since":
            yield _gained(point, point.value, point.weight, point.at - point.start)
            return
        key = (point.service, point.metric, point.stream)
        before = self._last.get(key)
        if before is not None and point.at <= before.at:
            return
        self._last[key] = point
        self._last.move_to_end(key)
        while len(self._last) > KNOWN_STREAMS:
            self._last.popitem(last=False)
        if before is None:
            return
        began_anew = point.value < before.value or point.weight < before.weight
        value = point.value - (0.0 if began_anew else before.value)
        weight = point.weight - (0.0 if began_anew else before.weight)
        yield _gained(point, value, weight, point.at - before.at)


def _gained(point: DataPoint, value: float, weight: float, seconds: float) -> DataPoint:
    return replace(point, value=value / seconds, weight=weight / seconds, kind="now")


def _together(streams: Sequence[Sequence[DataPoint]], window: Window) -> Series:
    step = _pace(streams)
    first = min(one[0].at for one in streams)
    last = max(one[-1].at for one in streams)
    grid = np.arange(np.ceil(first / step), np.floor(last / step) + 1) * step
    if not grid.size:
        grid = np.array([last])
    read = [_on(grid, one, HOLDS * step) for one in streams]
    values = np.array([value for value, _ in read])
    weights = np.array([weight for _, weight in read])
    some = ~np.isnan(values).all(axis=0)
    one = streams[0][0]
    combined = _combined(one.way, values[:, some], weights[:, some])
    return Series(one.service, one.metric, grid[some], combined, one.unit).between(window)


def _combined(way: Aggregation, values: FloatArray, weights: FloatArray) -> FloatArray:
    if way == "worst":
        return np.asarray(np.nanmax(values, axis=0)) if values.size else np.empty(0)
    total: FloatArray = np.nansum(values, axis=0)
    if way == "sum":
        return total
    over: FloatArray = np.nansum(weights, axis=0)
    found: FloatArray = np.full_like(total, np.nan)
    np.divide(total, over, out=found, where=over > 0)
    return found


def _on(
    grid: FloatArray, stream: Sequence[DataPoint], holds: float
) -> tuple[FloatArray, FloatArray]:
    """Value and weight of a stream at the moments of a grid; NaN where it has been silent."""
    times = np.array([one.at for one in stream])
    at = np.searchsorted(times, grid, side="right") - 1
    fresh = (at >= 0) & (grid - times[at] < holds)
    value = np.array([one.value for one in stream])[at]
    weight = np.array([one.weight for one in stream])[at]
    return np.where(fresh, value, np.nan), np.where(fresh, weight, np.nan)


def _pace(streams: Sequence[Sequence[DataPoint]]) -> float:
    """Median seconds between two points of a stream, whole seconds, at least one."""
    gaps = [
        float(gap)
        for one in streams
        if len(one) > 1
        for gap in np.diff([point.at for point in one])
    ]
    return max(1.0, float(np.round(np.median(gaps)))) if gaps else 60.0
