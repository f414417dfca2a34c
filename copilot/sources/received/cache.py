"""What was sent to us, as a source of metrics, traces, logs, and of the graph traces show."""

import math
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from copilot.ports import Clock, SourceError
from copilot.sources.received.measures import REQUEST_RATE, DataPoint, Measures
from copilot.sources.received.rings import RingEntry, Rings, RingUsage
from copilot.types.checks import Check, requests_of
from tools.log_retriever import is_cut
from tools.types import (
    Edge,
    LogGap,
    LogLine,
    LogReading,
    Series,
    Span,
    Timestamp,
    Topology,
    Window,
)

MOST_LETTERS = 16_384
"""A log message beyond this is cut: one line must not be the whole room. Runtimes split there."""

KNOWN_SPANS = 200_000
"""Spans whose service is remembered, so that a child that comes later finds its parent."""

KEPT_S = 86_400.0
MOST_EDGES = 20_000
RECORD = 300
"""Bytes that a record takes beside its text, roughly."""


class ReceivedTelemetry:
    """Spans, log lines and data points that senders post; safe between threads.

    Each of the three has a third of `most_bytes`. Nothing later than the clock is told.
    """

    def __init__(self, clock: Clock, *, keep_s: float = 7200.0, most_bytes: int = 2**27) -> None:
        self._clock = clock
        self._spans: Rings[Span] = Rings(most_bytes // 3, keep_s)
        self._lines: Rings[LogLine] = Rings(most_bytes // 3, keep_s)
        self._measures = Measures(most_bytes // 3, keep_s)
        self._graph = SpanGraph()

    def take_spans(self, spans: Sequence[Span], peers: Iterable[tuple[str, str]] = ()) -> None:
        """Hold spans; `peers` are callers with callees that do not trace themselves."""
        now = self._clock.now()
        self._graph.take(spans, peers, now)
        self._spans.take((RingEntry(s.at, s.service, s, _span_bytes(s)) for s in spans), now)

    def take_lines(self, lines: Iterable[LogLine]) -> None:
        """Hold log lines; a message that is too long is cut."""
        self._lines.take(map(_entry, lines), self._clock.now())

    def take_points(self, points: Iterable[DataPoint]) -> None:
        """Hold data points."""
        self._measures.take(points, self._clock.now())

    def series(self, window: Window) -> Sequence[Series]:
        """Metrics inside the window, one series per service and metric."""
        self._demand(self._measures, "metrics")
        now = self._clock.now()
        if window.start > now:
            return ()
        return self._measures.series(Window(start=window.start, end=min(window.end, now)))

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """All that is still held of the time before."""
        self._demand(self._measures, "metrics")
        end = math.nextafter(min(before, self._clock.now()), -math.inf)
        return self._measures.series(Window(start=0.0, end=max(end, 0.0)))

    def spans(self, window: Window, split: Timestamp | None = None) -> Sequence[Span]:
        """Spans that began inside the window and have ended by now; all that are held."""
        now = self._clock.now()
        found = self._spans.between(window)
        self._demand(self._spans, "traces")
        return tuple(span for span in found if span.at + span.seconds <= now)

    def lines(self, window: Window) -> LogReading:
        """Log lines inside the window."""
        self._demand(self._lines, "logs")
        now = self._clock.now()
        if window.start > now:
            return LogReading()
        return self._held_lines(Window(start=window.start, end=min(window.end, now)))

    def baseline_lines(self, before: Timestamp) -> LogReading:
        """All that is still held of the time before."""
        self._demand(self._lines, "logs")
        end = math.nextafter(min(before, self._clock.now()), -math.inf)
        return self._held_lines(Window(start=0.0, end=max(end, 0.0)))

    def _held_lines(self, window: Window) -> LogReading:
        """Lines of the window; where a service was let go to make place, that is a gap."""
        let_go = self._lines.evicted_until()
        gaps = (
            LogGap(window=Window(start=window.start, end=min(until, window.end)), service=service)
            for service, until in let_go.items()
            if until >= window.start
        )
        return LogReading(self._lines.between(window), tuple(gaps))

    def topology(self) -> Topology:
        """Who calls whom, by parent and child of spans."""
        return self._graph.topology(self._clock.now())

    def held(self) -> dict[str, RingUsage]:
        """What is held of each signal, for `/metrics`."""
        return {
            "traces": self._spans.held(),
            "logs": self._lines.held(),
            "metrics": self._measures.held(),
        }

    def describe(self) -> str:
        """How much is held."""
        told = ", ".join(f"{held.records} {name}" for name, held in self.held().items())
        return f"received by OTLP: {told} in memory"

    def checks(self, elsewhere: Collection[str] = ()) -> Sequence[Check]:
        """How much is held, and who has request metrics."""
        told = self.baseline(math.inf)
        served = {one.owner for one in told if one.metric == REQUEST_RATE}
        requests = requests_of(served.union(elsewhere), {one.owner for one in told})
        return (Check("metrics", "ok", self.describe()), requests)

    def problems(self) -> Sequence[str]:
        """Nothing is lacking that was promised; what was let go is counted in `/metrics`."""
        return ()

    def _demand(self, rings: Rings[Span] | Rings[LogLine] | Measures, name: str) -> None:
        """A window without lines may be quiet; a cache that nobody ever filled is not connected."""
        if not rings.held().taken:
            problem = f"nothing was sent yet; let senders post to /v1/{name}"
            raise SourceError("OTLP receiver", problem, recoverable=True)


def _entry(line: LogLine) -> RingEntry[LogLine]:
    message = line.message[:MOST_LETTERS]
    kept = replace(line, message=message, cut=line.cut or is_cut(line.message))
    return RingEntry(line.at, line.service, kept, RECORD + 2 * len(message))


def _span_bytes(span: Span) -> int:
    return RECORD + len(span.operation) + len(span.service)


ValueT = TypeVar("ValueT")


class SpanGraph:
    """The graph by spans: an edge wherever parent and child belong to different services.

    Spans may come in any order, parents after their children. Safe between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._orphans: OrderedDict[tuple[str, str], dict[str, None]] = OrderedDict()
        self._edges: dict[tuple[str, str], Timestamp] = {}
        self._nodes: dict[str, Timestamp] = {}

    def take(self, spans: Iterable[Span], peers: Iterable[tuple[str, str]], now: Timestamp) -> None:
        """Learn edges of spans, and of callers with callees that do not trace themselves."""
        with self._lock:
            for span in spans:
                self._nodes[span.service] = now
                for caller, callee in self._calls(span):
                    self._seen(caller, callee, now)
            for caller, callee in peers:
                self._seen(caller, callee, now)
            _bound(self._services)
            _bound(self._orphans)

    def _calls(self, span: Span) -> Iterator[tuple[str, str]]:
        self._services[span.trace, span.span] = span.service
        for child in self._orphans.pop((span.trace, span.span), {}):
            yield span.service, child
        if span.parent:
            caller = self._services.get((span.trace, span.parent))
            if caller is not None:
                yield caller, span.service
            else:
                self._orphans.setdefault((span.trace, span.parent), {})[span.service] = None

    def _seen(self, caller: str, callee: str, now: Timestamp) -> None:
        known = (caller, callee) in self._edges or len(self._edges) < MOST_EDGES
        if caller != callee and known:
            self._edges[caller, callee] = now

    def topology(self, now: Timestamp) -> Topology:
        """What was learned in the last day; the entry where there is only one root."""
        with self._lock:
            self._edges = {k: at for k, at in self._edges.items() if now - at < KEPT_S}
            self._nodes = {k: at for k, at in self._nodes.items() if now - at < KEPT_S}
            edges, nodes = sorted(self._edges), sorted(self._nodes)
        roots = {caller for caller, _ in edges} - {callee for _, callee in edges}
        return Topology(
            nodes=tuple(nodes),
            edges=tuple(Edge(caller=a, callee=b, source="traces") for a, b in edges),
            entry=roots.pop() if len(roots) == 1 else "",
        )


def _bound(known: OrderedDict[tuple[str, str], ValueT]) -> None:
    while len(known) > KNOWN_SPANS:
        known.popitem(last=False)
