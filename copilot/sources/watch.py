"""Watch: scan every configured series on every interval and raise the copilot's own alerts.

For a fault nobody wrote a rule for. One series out of its band is chance among thousands, so an
alarm is what began within two samples being more, or further out, than chance brings together:
the smallest over j of P(Poisson(n x p_j) >= j), p_j being the j-th smallest tail probability of
the n signals watched (Berk and Jones, 1979). Metrics of one owner and family are one signal, and so
is a machine's reading that is told of each service on it. Real series are neither independent nor
quiet, so the limit is lowered to what the past itself would bring together once in
`FALSE_EVERY_S`. More traffic alone is no fault and is not watched.

Why these numbers: docs/decisions/watch.md.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, lgamma, log
from zlib import crc32

import numpy as np

from copilot.ports import MetricSource
from copilot.sources.call_shares import CallCounts, CallShares
from copilot.sources.own_alert import alert_of
from copilot.sources.short_past import ShortPast
from copilot.sources.silence import SilentServices
from tools.detector import DetectorConfig, Stream
from tools.impact import impact
from tools.topology_walker.signals import MetricCategory, read
from tools.types import Alert, Anomaly, FloatArray, Owner, Series, Timestamp, Window

WATCHED: frozenset[MetricCategory] = frozenset(
    {"latency", "success", "errors", "cpu", "memory", "saturation", "disk", "network"}
)
SENSITIVE = DetectorConfig(tail=2e-3, block=60)
"""An episode in 500 points of a series by chance: what is weighed, not what is paged on, which
`FALSE_EVERY_S` decides."""

SAMPLES_APART = 2.0
BY_CHANCE_S, FALSE_EVERY_S = 8 * 3600.0, 33 * 3600.0
"""How often an alarm may be false: by chance alone, and by what the past brought together, which
extrapolates to the 0.03 an hour that people bear. source: docs/decisions/watch.md."""

CERTAIN = 1e-12
"""What chance brings together less often is an alarm, whatever the past held."""

LEARNT = 120
"""Samples without which chance says nothing: on fewer, noise opens many times the episodes that
were allowed, and what is raised is provisional. source: docs/diary/detection.md."""

APART_S = 300.0
"""Alarms nearer than this are one."""

RECENT_S = 7200.0
"""The last of the past, which is learned in full."""

PIECE_S = 1800.0
"""So much of it is asked for and held at once."""

CALM_S = 300.0
"""An alarm ends when none of its series was out of its band for this long."""


@dataclass(slots=True)
class _Alarm:
    """A raised alarm that has not ended: its alert, and when it was last seen to hold."""

    alert: Alert
    held: Timestamp


class Watch:
    """Streaming detection over all series of a source; state is bounded per series.

    `look` learns what is normal until it has heard `LEARNT` samples, the first time from the past;
    meanwhile its alerts say that they are provisional (`ShortPast`). Then it takes what arrived
    since and returns alerts to be accepted: firing when an alarm begins, resolved when it ends.
    """

    def __init__(
        self,
        source: MetricSource,
        interval_s: float,
        learn_s: float = 86_400.0,
        config: DetectorConfig | None = None,
    ) -> None:
        self.interval_s = interval_s
        self._source = source
        self._learn_s = learn_s
        self._stream = Stream([], config or SENSITIVE)
        self._shares = CallShares(interval_s)
        self._silence = SilentServices(interval_s)
        self._short: ShortPast | None = ShortPast(interval_s)
        self._places: dict[str, int] = {}
        self._signals: set[tuple[str, MetricCategory]] = set()
        self._limit = interval_s / BY_CHANCE_S
        self._heard = 0
        self._learned = False
        self._began = float("inf")
        self._seen = float("-inf")
        self._last = float("-inf")
        self._opened: list[Anomaly] = []
        self._alarms: dict[str, _Alarm] = {}

    @property
    def series(self) -> int:
        """How many series are watched."""
        return len(self._places)

    @property
    def state_bytes(self) -> int:
        """Memory of the detector's state."""
        short = self._short.state_bytes if self._short else 0
        kept = (self._stream, self._shares, self._silence)
        return sum(one.state_bytes for one in kept) + short

    def look(self, now: Timestamp) -> list[Alert]:
        """Learn from the past the first time and until there is enough of it; then scan."""
        if self._learned:
            return self._scan(now)
        alerts: list[Alert] = []
        if np.isfinite(self._seen):
            self._feed(self._source.series(Window(start=self._seen, end=now)))
            alerts = [*self._provisional(), *self._ended(now)]
        else:
            self._remember(now)
        if self._heard >= LEARNT:
            self._settle()
        return alerts

    def learn(self, now: Timestamp) -> None:
        """Learn from the past and take it for enough, however short it is."""
        self._remember(now)
        self._settle()

    def _settle(self) -> None:
        self._learned = True
        self._calibrate()
        self._shares.settle()
        self._opened.clear()

    def _remember(self, now: Timestamp) -> None:
        recent = now - min(self._learn_s, RECENT_S)
        # A source tells a long past in coarse steps; the last of it is heard as it will be watched.
        if recent > now - self._learn_s:
            self._feed(self._source.series(Window(start=now - self._learn_s, end=recent)))
        for start in np.arange(recent, now, PIECE_S).tolist():
            end = min(start + PIECE_S, now)
            self._feed(self._source.series(Window(start=start, end=end)))

    def _calibrate(self) -> None:
        """Lower the limit to what the past would bring together no more often than allowed.

        Its first half is left out, as the detectors were still learning, and so is the strangest
        episode of the other half, which may have been an incident.
        """
        if not self._opened:
            return
        half = (self._began + self._seen) / 2
        episodes: list[tuple[Timestamp, float]] = []
        for found in self._together(half):
            at, chance = found[-1].onset, self._by_chance(found)
            if episodes and at - episodes[-1][0] <= APART_S:
                at, chance = episodes[-1][0], min(episodes.pop()[1], chance)
            episodes.append((at, chance))
        others = sorted(chance for _, chance in episodes if chance < self._limit)[1:]
        allowed = (self._seen - half) / FALSE_EVERY_S
        self._limit = max(CERTAIN, _beyond(others, self._limit, allowed))

    def _scan(self, now: Timestamp) -> list[Alert]:
        """Look at what arrived since the last scan."""
        start, seen = max(self._seen, now - 10 * self.interval_s), self._seen
        self._feed(self._source.series(Window(start=start, end=now)))
        raised = [
            alert for found in self._together(seen) if (alert := self._raised(found)) is not None
        ]
        self._opened = [one for one in self._opened if now - one.onset <= APART_S]
        return [*raised, *self._ended(now)]

    def _together(self, after: Timestamp) -> Iterator[list[Anomaly]]:
        """For each moment at which something opened: that, and what had just before."""
        onsets = [one.onset for one in self._opened]
        for place in sorted({bisect_right(onsets, at) for at in onsets if at > after}):
            first = bisect_left(onsets, onsets[place - 1] - SAMPLES_APART * self.interval_s)
            yield self._opened[first:place]

    def _feed(self, series: Sequence[Series]) -> None:
        watched = [one for one in series if one.times.size and read(one.metric).family in WATCHED]
        new = [one for one in watched if one.name not in self._places]
        self._stream.extend([(one.owner, one.metric) for one in new])
        self._silence.extend(new)
        if self._short is not None:
            self._short.extend(new)
        for one in new:
            self._shares.add(one, len(self._places))
            self._places[one.name] = len(self._places)
            self._signals.add((one.owner, read(one.metric).family))
        calls = CallCounts(series, self.interval_s)
        for at, column in self._columns(watched):
            found = (*self._stream.update_columns(at, column), *self._stream.again)
            self._opened += [
                one for one in found if one.end is None and _worse(one) and calls.several(one)
            ]
            learning = not self._learned
            self._opened += self._shares.step(at, column, learning=learning)
            self._opened += self._silence.step(at, column, learning=learning)
            if self._short is not None:
                self._short.step(at, column)
            self._heard += 1
            if self._heard >= LEARNT:
                self._short = None
            self._seen = at
            self._began = min(self._began, at)

    def _columns(self, series: Sequence[Series]) -> list[tuple[Timestamp, FloatArray]]:
        """The points not seen yet, one column per interval, in order; NaN where none arrived."""
        if not series:
            return []
        places = [self._places[one.name] for one in series]
        series_at = np.repeat(places, [one.times.size for one in series])
        slots = np.concatenate([one.times for one in series]) // self.interval_s
        late = slots > (self._seen // self.interval_s if np.isfinite(self._seen) else -np.inf)
        rows, row = np.unique(slots[late], return_inverse=True)
        table = np.full((rows.size, len(self._places)), np.nan)
        table[row, series_at[late]] = np.concatenate([one.values for one in series])[late]
        return [
            (float(at) * self.interval_s, column) for at, column in zip(rows, table, strict=True)
        ]

    def _provisional(self) -> list[Alert]:
        """What is beyond all the short past holds, if callers or several signals show it."""
        if self._short is None or not self._short.enough or self._seen - self._last <= APART_S:
            return []
        since = min(one.onset for one in self._short.beyond)
        return [self._raise(self._short.beyond, since, since - self._began)]

    def _raised(self, found: list[Anomaly]) -> Alert | None:
        at = found[-1].onset
        if self._by_chance(found) >= self._limit or at - self._last <= APART_S:
            return None
        return self._raise(found, at)

    def _raise(self, found: Sequence[Anomaly], at: Timestamp, past_s: float | None = None) -> Alert:
        self._last = at
        alert = alert_of(found, at, past_s)
        self._alarms[alert.service] = _Alarm(alert, at)
        return alert

    def _by_chance(self, found: Sequence[Anomaly]) -> float:
        """How likely chance alone brings this many this strange signals together."""
        signals: dict[tuple[str, MetricCategory], float] = {}
        machines: dict[tuple[str | float, ...], str] = {}
        for one in found:
            owner, signal = one.owner, read(one.metric)
            if signal.per_node:
                # Some sources tell a machine's reading again of each service that runs on it.
                reading = (one.metric, one.observed, one.low, one.high)
                owner = machines.setdefault(reading, owner)
            key = (owner, signal.family)
            signals[key] = min(one.score, signals.get(key, 1.0))
        tries = len(self._signals) * (SAMPLES_APART + 1.0)
        return min(
            _at_least(count, tries * score)
            for count, score in enumerate(sorted(signals.values()), start=1)
        )

    def _ended(self, now: Timestamp) -> list[Alert]:
        out = {Owner.parse(one.owner).service for one in self._stream.open if one.kind != "missing"}
        out |= {
            Owner.parse(owner).service for owner in (*self._shares.burning, *self._silence.silent)
        }
        out |= (
            {Owner.parse(one.owner).service for one in self._short.beyond} if self._short else set()
        )
        ended = []
        for service, alarm in list(self._alarms.items()):
            if service in out:
                alarm.held = now
            elif now - alarm.held > CALM_S:
                del self._alarms[service]
                ended.append(
                    alarm.alert.model_copy(update={"status": "resolved", "ends_at": alarm.held})
                )
        return ended


def _beyond(chances: Sequence[float], limit: float, allowed: float) -> float:
    """The limit below which `allowed` of `chances`, all below `limit`, would lie.

    A Pareto tail by Hill's estimator (The Annals of Statistics 3, 1975), extrapolated as by
    Weissman (Journal of the American Statistical Association 73, 1978).
    """
    if len(chances) <= allowed:
        return limit
    falls = [log(limit / max(one, 1e-300)) for one in chances]
    return float(limit * (allowed / len(chances)) ** (sum(falls) / len(falls)))


def _at_least(count: int, expected: float) -> float:
    """P(N >= count) for N ~ Poisson(expected)."""
    fewer = sum(
        exp(-expected + i * log(expected) - lgamma(i + 1)) for i in range(count) if expected > 0
    )
    return max(1.0 - fewer, 0.0) if expected > 1e-3 else expected**count / exp(lgamma(count + 1))


def _worse(found: Anomaly) -> bool:
    """Whether the series left its band where it hurts, and by enough to matter.

    A series that hardly ever moves has a band of no width, and one more open file leaves it.
    Coming back to normal is no alarm; nor is silence, which many series keep when nobody calls.
    """
    bad = read(found.metric).bad
    edge = found.high if bad == "up" else found.low
    worse = found.direction == bad
    return worse and impact(found.metric, edge, found.observed).level != "none"


class WatchShards:
    """The watch where several processes share it: each looks at the services of its own shards.

    `share` says which shards are this process's now. A shard that comes over learns from the past.
    """

    def __init__(
        self,
        source: MetricSource,
        interval_s: float,
        learn_s: float,
        shards: int,
        share: Callable[[], frozenset[int]],
    ) -> None:
        self.interval_s = interval_s
        self._source = source
        self._learn_s = learn_s
        self._shards = shards
        self._share = share
        self._watches: dict[int, Watch] = {}

    @property
    def series(self) -> int:
        """How many series this process watches."""
        return sum(one.series for one in self._watches.values())

    def look(self, now: Timestamp) -> list[Alert]:
        """What each of its shards raises or ends."""
        mine = self._share()
        for shard in self._watches.keys() - mine:
            del self._watches[shard]
        for shard in mine - self._watches.keys():
            part = _OwnersOf(self._source, shard, self._shards)
            self._watches[shard] = Watch(part, self.interval_s, self._learn_s)
        return [alert for shard in sorted(mine) for alert in self._watches[shard].look(now)]


class _OwnersOf:
    """The series of the services that fall to one shard."""

    def __init__(self, source: MetricSource, shard: int, shards: int) -> None:
        self._source = source
        self._shard = shard
        self._shards = shards

    def series(self, window: Window) -> Sequence[Series]:
        return self._own(self._source.series(window))

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        return self._own(self._source.baseline(before))

    def _own(self, series: Sequence[Series]) -> Sequence[Series]:
        return [one for one in series if _number(one.owner) % self._shards == self._shard]


@lru_cache(maxsize=65_536)
def _number(owner: str) -> int:
    """The same for all versions of a service, of which one that falls silent may be replaced."""
    return crc32(Owner.parse(owner).service.encode())
