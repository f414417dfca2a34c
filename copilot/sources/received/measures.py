"""Data points that were sent to us, made series: rates and quantiles by service.

Totals are told apart by the moment since which they count, as the data model of OpenTelemetry has
it (opentelemetry.io, "Metrics Data Model", "Resets and gaps"): another beginning is another
process, or the same one started anew, and never a fall.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from copilot.sources.received import buckets as counted
from copilot.sources.received.buckets import IntArray
from copilot.sources.received.rings import RingEntry, Rings, RingUsage
from tools.types import FloatArray, Series, Timestamp, Window

KNOWN_STREAMS = 50_000
"""Counters whose last total is remembered; a sender that invents labels forgets its own first."""

TOTALS_SHARE = 3
"""The last totals may take one part in this many of the room: their buckets are large."""

MOST_SERIES = 5000
RECORD = 400
"""Bytes that a point takes beside its names and buckets, roughly."""

HOLDS = 2.0
"""A value speaks for this many intervals of its stream, so that a late point makes no dip."""

LOOKBACK_S = 300.0
"""What was said this long before a window may still hold in it: five minutes, as in Prometheus."""

SHORTEST_S = 1.0
"""A total that is younger tells no rate: some senders name their own start a moment too late."""

REQUEST_RATE = "request_rate"
"""What requests served are counted by, whoever tells of them."""

Aggregation = Literal[
    "worst",  # the highest of all streams: utilisation, sizes
    "sum",  # of all streams: rates
    "share",  # sum of the values over the sum of the weights: means and percentages
    "quantiles",  # of the buckets of all streams together
]

Temporality = Literal[
    "now",  # the value as it is
    "since",  # gained since `start`
    "total",  # gained since `start`, 0 where it is not known; a fall is a new beginning
]


@dataclass(frozen=True, slots=True, eq=False)
class DataPoint:
    """One measurement of one stream (an instance and its labels); `at`, `start` in Unix seconds.

    `buckets` are those of `copilot.sources.received.buckets`, in the metric's unit; `quantiles`
    are read from them, each with the name of the series it makes.
    """

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
    buckets: FloatArray = field(default_factory=lambda: counted.NONE)
    quantiles: tuple[tuple[str, float], ...] = ()

    @property
    def bytes(self) -> int:
        """What it takes in memory, roughly."""
        return RECORD + len(self.service) + len(self.metric) + self.buckets.nbytes


class _Totals:
    """The last total of each stream and beginning, bounded in number and bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self.forgotten = 0
        self._last: OrderedDict[tuple[str, str, str, Timestamp], DataPoint] = OrderedDict()
        self._heard: OrderedDict[tuple[str, str, str], Timestamp] = OrderedDict()

    def before(self, point: DataPoint) -> DataPoint | None:
        """The total to compare with, whose `at` is the moment since which the difference was made.

        None where a stream is heard of for the first time: what it counted before we listened says
        nothing of now. One that began since then counts from its own beginning.
        """
        known = self._last.get((point.service, point.metric, point.stream, point.start))
        if known is not None:
            return known
        first = self._heard.get((point.service, point.metric, point.stream))
        if first is None or point.start < first or point.at - point.start < SHORTEST_S:
            return None
        return replace(point, at=point.start, value=0.0, weight=0.0, buckets=counted.NONE)

    def keep(self, point: DataPoint) -> None:
        """Remember a total in place of the one before it."""
        stream = (point.service, point.metric, point.stream)
        self._heard.setdefault(stream, point.at)
        self._heard.move_to_end(stream)
        while len(self._heard) > KNOWN_STREAMS:
            self._heard.popitem(last=False)
        replaced = self._last.pop((*stream, point.start), None)
        self._bytes += point.bytes - (replaced.bytes if replaced else 0)
        self._last[(*stream, point.start)] = point
        while len(self._last) > KNOWN_STREAMS or self._bytes > self._most_bytes:
            self._bytes -= self._last.popitem(last=False)[1].bytes
            self.forgotten += 1


class Measures:
    """Points of all senders, bounded in time and bytes; safe between threads."""

    def __init__(self, most_bytes: int, keep_s: float) -> None:
        self._lock = threading.Lock()
        self._totals = _Totals(most_bytes // TOTALS_SHARE)
        self._points: Rings[DataPoint] = Rings(most_bytes - most_bytes // TOTALS_SHARE, keep_s)

    def take(self, points: Iterable[DataPoint], now: Timestamp) -> None:
        """Hold points; totals are held as what they gained per second since the one before."""
        with self._lock:
            told = [one for point in points for one in self._per_second(point)]
        self._points.take((RingEntry(p.at, p.service, p, p.bytes) for p in told), now)

    def held(self) -> RingUsage:
        """What is held now; a total that had to be forgotten is one that was let go."""
        held = self._points.held()
        return replace(held, evicted=held.evicted + self._totals.forgotten)

    def series(self, window: Window) -> tuple[Series, ...]:
        """One series per service and metric, on a grid of the pace at which its points come."""
        found: dict[tuple[str, str], _Streams] = defaultdict(lambda: defaultdict(list))
        earlier = Window(start=max(0.0, window.start - LOOKBACK_S), end=window.end)
        for point in self._points.between(earlier):
            found[point.service, point.metric][point.stream, point.start].append(point)
        busiest = sorted(found.values(), key=lambda one: -sum(map(len, one.values())))
        series = (series for one in busiest[:MOST_SERIES] for series in _together(one, window))
        return tuple(one for one in series if one.times.size)

    def _per_second(self, point: DataPoint) -> Iterator[DataPoint]:
        if point.kind == "now":
            yield point
            return
        if point.kind == "since":
            yield _gained(replace(point, start=0.0), point.at - point.start)
            return
        before = self._totals.before(point)
        if before is None or point.at > before.at:
            self._totals.keep(point)
        if before is None or point.at <= before.at:
            return
        if point.value < before.value or point.weight < before.weight:
            yield _gained(point, point.at - before.at)
            return
        since = replace(
            point,
            value=point.value - before.value,
            weight=point.weight - before.weight,
            buckets=counted.added(point.buckets, before.buckets),
        )
        yield _gained(since, point.at - before.at)


_Stream = Sequence[DataPoint]
_Streams = dict[tuple[str, Timestamp], list[DataPoint]]
"""The points of one service and metric, by stream and by the moment since which it counts."""


def _gained(point: DataPoint, seconds: float) -> DataPoint:
    rates = point.buckets / (1.0, 1.0, seconds) if point.buckets.size else point.buckets
    value, weight = point.value / seconds, point.weight / seconds
    return replace(point, value=value, weight=weight, buckets=rates, kind="now")


def _together(streams: _Streams, window: Window) -> Iterator[Series]:
    told = list(streams.values())
    step = _pace(streams)
    grid = _grid(told, step)
    speaking = [
        _speaking(grid, one, _replaced(key, streams), HOLDS * step) for key, one in streams.items()
    ]
    some = (np.array(speaking) >= 0).any(axis=0)
    one = told[0][0]
    if one.way == "quantiles":
        named = _quantiles(told, speaking, one.quantiles)
    else:
        named = {one.metric: _combined(one.way, told, speaking)}
    for metric, values in named.items():
        series = Series(one.service, metric, grid[some], values[some], one.unit)
        yield series.between(window)


def _grid(streams: Sequence[_Stream], step: float) -> FloatArray:
    """From where all that speak at the beginning have spoken once, to the last word."""
    first = min(one[0].at for one in streams)
    begun = max(one[0].at for one in streams if one[0].at < first + step)
    last = max(one[-1].at for one in streams)
    grid = np.arange(np.ceil(begun / step), np.floor(last / step) + 1) * step
    return grid if grid.size else np.array([last])


def _replaced(key: tuple[str, Timestamp], streams: _Streams) -> Timestamp:
    """When a total's process was followed by another that counts anew; infinite where it was not.

    A process that still runs says something later; one that ended must not be told twice.
    """
    stream, last = key[0], streams[key][-1].at
    after = (start for name, start in streams if name == stream and start > last)
    return min(after, default=np.inf)


def _speaking(grid: FloatArray, stream: _Stream, until: Timestamp, holds: float) -> IntArray:
    """Which point of a stream speaks at each moment of a grid; -1 where it has been silent."""
    times = np.array([one.at for one in stream])
    at = np.searchsorted(times, grid, side="right") - 1
    fresh = (at >= 0) & (grid - times[at] < holds) & (grid < until)
    return np.where(fresh, at, -1)


def _combined(
    way: Aggregation, streams: Sequence[_Stream], speaking: Sequence[IntArray]
) -> FloatArray:
    values = _laid(streams, speaking, lambda point: point.value)
    if way == "worst":
        return np.asarray(np.fmax.reduce(values, axis=0))
    total: FloatArray = np.nansum(values, axis=0)
    if way == "sum":
        return total
    over: FloatArray = np.nansum(_laid(streams, speaking, lambda point: point.weight), axis=0)
    found: FloatArray = np.full_like(total, np.nan)
    np.divide(total, over, out=found, where=over > 0)
    return found


def _laid(
    streams: Sequence[_Stream], speaking: Sequence[IntArray], read: Callable[[DataPoint], float]
) -> FloatArray:
    """What each stream says at each moment; NaN where it is silent."""
    said = (np.array([*map(read, one), np.nan]) for one in streams)
    return np.array([values[at] for values, at in zip(said, speaking, strict=True)])


def _quantiles(
    streams: Sequence[_Stream], speaking: Sequence[IntArray], asked: Iterable[tuple[str, float]]
) -> dict[str, FloatArray]:
    parts = [
        np.insert(stream[at].buckets, 0, moment, axis=1)
        for stream, places in zip(streams, speaking, strict=True)
        for moment, at in enumerate(places)
        if at >= 0 and stream[at].buckets.size
    ]
    # A row without observations for each moment, so that each has an answer.
    silent = np.zeros((speaking[0].size, 4))
    silent[:, 0] = np.arange(len(silent))
    rows = np.concatenate([silent, *parts])
    moments = rows[:, 0].astype(np.int64)
    return {name: counted.quantiles(rows[:, 1:], moments, share) for name, share in asked}


def _pace(streams: _Streams) -> float:
    """Median seconds between two points of a stream, whole seconds, at least one.

    Where no beginning was heard of twice, between two points of whatever beginning.
    """
    whole: dict[str, list[Timestamp]] = defaultdict(list)
    for (stream, _), told in streams.items():
        whole[stream] += [point.at for point in told]
    gaps = _gaps([point.at for point in one] for one in streams.values())
    gaps = gaps or _gaps(sorted(set(one)) for one in whole.values())
    return max(1.0, float(np.round(np.median(gaps)))) if gaps else 60.0


def _gaps(streams: Iterable[Sequence[Timestamp]]) -> list[float]:
    return [float(gap) for moments in streams for gap in np.diff(moments)]
