"""A store of traces as a source of spans: a bounded sample, alike before and since the onset.

A store holds more traces than anybody can read, and its search returns whichever it finds first.
So each side of a split gets the same room and the same questions: failed traces, plain ones of
every part of the time, slow ones. What is strange on both sides is then no difference.
See docs/decisions/telemetry.md.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from copilot.ports import Clock, SourceError
from copilot.sources.received.cache import SpanGraph
from copilot.sources.traces.trace_store import StoredTrace, TraceQuestion, TraceStore
from tools.types import Span, Timestamp, Topology, Window

MOST_SPANS = 50_000
"""Spans kept of one look, half of them for each side; a span takes about 300 bytes."""

MOST_QUESTIONS = 300
"""Searches of one look; at 100 ms each half of `LOOK_S`."""

LOOK_S = 60.0
"""After these seconds a look ends with what it has: a brief that waits longer helps nobody."""

MOST_FAILURES = 3
"""A store that fails so often in one look is left alone until the next."""

PARTS = (12, 6, 3, 1)
"""Parts of a side that are asked for apart, the most that `MOST_QUESTIONS` allows: a search prefers
the newest traces, and those before an onset that was seen late are no longer normal."""

COVERED = 3
"""Traces of a service on each side below which nothing is compared: `_MIN_SPANS` of `observe`."""

TYPICAL = 10
"""Spans of a service from which a 90th percentile is taken; one of them lies above it."""

DESCRIBED_S = 3600.0
GRAPH_S = 900.0
GRAPH_KEPT_S = 600.0
GRAPH_TRACES = 40
"""For the graph alone: so many traces of so many seconds, read again after so many."""


class SampledTraces:
    """Asks one store; safe to share between threads. Nothing later than the clock is told."""

    def __init__(
        self,
        store: TraceStore,
        clock: Clock,
        *,
        most_traces: int = 200,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._most = most_traces
        self._elapsed = elapsed
        self._graph = SpanGraph()
        self._graph_at = -math.inf
        self._problems: tuple[str, ...] = ()

    def spans(self, window: Window, split: Timestamp | None = None) -> Sequence[Span]:
        """Spans that began inside the window and have ended by now, of a sample of the traces.

        Half of the sample lies before `split`; without one it is spread over the whole window.
        """
        now = self._clock.now()
        if window.start > now:
            return ()
        asked = Window(start=window.start, end=min(window.end, now))
        look = self._look(asked, split, now, self._most)
        self._problems = look.problems()
        return look.cut()

    def topology(self) -> Topology:
        """Who calls whom, by the spans of the looks and by what the store has derived itself."""
        now = self._clock.now()
        if now - self._graph_at > GRAPH_KEPT_S:
            window = Window(start=now - GRAPH_S, end=now)
            try:
                self._look(window, None, now, GRAPH_TRACES)
                edges = self._store.edges(Window(start=now - DESCRIBED_S, end=now))
                self._graph.take((), edges, now)
            except SourceError:
                if not self._graph.topology(now).nodes:
                    raise
        return self._graph.topology(now)

    def describe(self) -> str:
        """Where it is, and how many services it knows."""
        now = self._clock.now()
        services = self._store.services(Window(start=now - DESCRIBED_S, end=now))
        self._problems = () if services else (_NOBODY,)
        return f"{self._store.source}: {len(services)} services {self._store.counted}"

    def problems(self) -> Sequence[str]:
        """What the last look left out."""
        return self._problems

    def _look(
        self, window: Window, split: Timestamp | None, now: Timestamp, most: int
    ) -> "_SampleLook":
        # Also a look that fails counts: a store that is down is not asked twice for one brief.
        self._graph_at = now
        look = _SampleLook(self._store, window, split, now, most, self._elapsed)
        look.take(self._store.services(window))
        for side in look.sides:
            self._graph.take(side.spans(), side.peers, now)
        return look


_NOBODY = "no service has sent a span; check the exporters, and the tenant if there are several"


@dataclass
class _Side:
    """The traces that were found on one side of the split."""

    window: Window
    room: int
    traces: dict[str, StoredTrace] = field(default_factory=dict)
    covered: Counter[str] = field(default_factory=Counter)
    peers: set[tuple[str, str]] = field(default_factory=set)
    held: int = 0

    def spans(self) -> Iterator[Span]:
        return (span for trace in self.traces.values() for span in trace.spans)

    def take(self, trace: StoredTrace) -> None:
        self.traces[trace.id] = trace
        self.held += len(trace.spans)
        self.peers |= trace.peers
        self.covered.update({span.service for span in trace.spans})

    def parts(self, count: int) -> list[Window]:
        """The window in parts of equal length, at least one."""
        step = self.window.seconds / max(count, 1)
        starts = [self.window.start + n * step for n in range(max(count, 1))]
        return [Window(start=start, end=start + step) for start in starts]


class _SampleLook:
    """One look: what it asked, what it found, what it had to leave out."""

    def __init__(
        self,
        store: TraceStore,
        window: Window,
        split: Timestamp | None,
        now: Timestamp,
        most: int,
        elapsed: Callable[[], float],
    ) -> None:
        self._store = store
        self._window = window
        self._now = now
        self._elapsed = elapsed
        self._until = elapsed() + LOOK_S
        self._questions = self._parts = 0
        self._failures: list[SourceError] = []
        self._full = self._late = False
        self._unread: Counter[str] = Counter()
        self._rejected = self._large = 0
        halves = _halves(window, split)
        self._split = split if len(halves) > 1 else None
        self.sides = tuple(_Side(half, max(4, most // len(halves))) for half in halves)

    def take(self, services: Sequence[str]) -> None:
        """Failed traces, then plain ones, then slow ones; raises where nothing answered.

        Plain ones come first where there are too many services to ask each for failed ones.
        """
        if not services:
            return
        targets = [""] if self._store.any_service else services
        self._parts = next((n for n in PARTS if _questions(n) * len(targets) <= MOST_QUESTIONS), 0)
        kinds = (self._failed, self._plain) if self._parts else (self._plain, self._failed)
        for kind in kinds:
            for side in self.sides:
                kind(side, targets)
        for side in self.sides:
            self._rare(side, services)
        usual = _usual(self.sides[0], services)
        for side in self.sides:
            self._slow(side, usual)
        if self._failures and not any(side.traces for side in self.sides):
            raise self._failures[0]

    def cut(self) -> tuple[Span, ...]:
        """The spans inside the window that have ended, in order of time, each once."""
        traces = {one.id: one for side in self.sides for one in side.traces.values()}
        found = [
            span
            for trace in traces.values()
            for span in trace.spans
            if span.at in self._window and span.at + span.seconds <= self._now
        ]
        return tuple(sorted(found, key=lambda span: span.at))

    def problems(self) -> tuple[str, ...]:
        """What was left out, a line each."""
        return tuple(self._lacking())

    def _failed(self, side: _Side, targets: Sequence[str]) -> None:
        """A quarter of the room."""
        parts = side.parts(_fewer(self._parts))
        for part in parts:
            limit = max(1, side.room // 4 // len(parts))
            failures = len(self._failures)
            self._spread(side, targets, TraceQuestion(part, limit, failed=True))
            if len(self._failures) > failures:
                break  # a store that cannot search for them may still have others

    def _plain(self, side: _Side, targets: Sequence[str]) -> None:
        """Half of the room."""
        parts = side.parts(self._parts)
        for part in parts:
            limit, had = max(1, side.room // 2 // len(parts)), len(side.traces)
            self._spread(side, targets, TraceQuestion(part, limit))
            share = max(1, limit // len(targets)) * len(targets)
            self._full |= len(side.traces) - had >= min(limit, share)

    def _spread(self, side: _Side, targets: Sequence[str], question: TraceQuestion) -> None:
        """Ask each for its share of the traces, beside those that others have brought along.

        Where there are too many to ask each of them, those that most traces go through come first,
        and those that were brought along are skipped.
        """
        share = max(1, question.limit // len(targets))
        had = side.covered.copy()
        failures = len(self._failures)
        busiest = sorted(targets, key=lambda one: -side.covered[one])
        for target in busiest[: max(question.limit, len(targets) if self._parts else 0)]:
            if self._parts or question.failed or side.covered[target] < COVERED:
                limit = min(share + side.covered[target] - had[target], question.limit)
                self._ask(side, replace(question, service=target, limit=max(1, limit)))
            if len(self._failures) > failures:
                break  # what one service cannot be asked for, the next cannot either

    def _rare(self, side: _Side, services: Sequence[str]) -> None:
        """Services that the sample has too little of to compare."""
        for service in services:
            if side.covered[service] < COVERED:
                self._ask(side, TraceQuestion(side.window, COVERED, service))

    def _slow(self, side: _Side, usual: dict[str, float]) -> None:
        """A quarter of the room, of spans slower than nine of ten on the first side."""
        parts = side.parts(_fewer(self._parts))
        for part in parts:
            for service, seconds in usual.items():
                limit = max(1, side.room // 4 // len(usual) // len(parts))
                self._ask(side, TraceQuestion(part, limit, service, slower_s=seconds))

    def _ask(self, side: _Side, question: TraceQuestion) -> None:
        if self._ended(side):
            return
        self._questions += 1
        known = {one for side in self.sides for one in side.traces}
        try:
            for trace in self._store.find(question, known, self._now):
                self._keep(side, trace)
                if self._ended(side):
                    break
        except SourceError as error:
            self._failures.append(error)

    def _keep(self, side: _Side, trace: StoredTrace) -> None:
        self._rejected += trace.rejected
        if trace.lacking:
            self._unread[trace.lacking] += 1
        if side.held + len(trace.spans) > MOST_SPANS // len(self.sides):
            self._large += 1
        elif trace.spans:
            side.take(trace)

    def _ended(self, side: _Side) -> bool:
        self._late |= self._elapsed() > self._until or self._questions >= MOST_QUESTIONS
        return self._late or len(self._failures) >= MOST_FAILURES or len(side.traces) >= side.room

    def _lacking(self) -> Iterator[str]:
        if self._full:
            yield self._sampled()
        if self._late:
            yield "asking for more took too long, so the sample is smaller than it may be"
        if self._failures:
            first = self._failures[0].problem
            yield f"{len(self._failures)} of {self._questions} searches failed: {first}"
        for lacking, count in self._unread.most_common(2):
            yield f"{count} traces: {lacking}"
        if self._rejected:
            yield f"{self._rejected} spans are not what the protocol says and were passed over"
        if self._large:
            yield f"{self._large} traces had too many spans and were left out"
        early = [span for side in self.sides for span in side.spans() if span.at > self._now]
        if early:
            ahead = max(span.at for span in early) - self._now
            names = ", ".join(sorted({span.service for span in early})[:3])
            yield f"{len(early)} spans lie up to {ahead:.0f} s in the future; check clocks: {names}"

    def _sampled(self) -> str:
        counts = [len(side.traces) for side in self.sides]
        if self._split is None:
            return f"a sample was read, {counts[0]} traces; the store has more"
        return (
            f"a sample was read, {counts[0]} traces of before and {counts[1]} of since the onset; "
            "the store has more"
        )


def _fewer(parts: int) -> int:
    """Parts of what is rarer than plain traces."""
    return -(-parts // 3)


def _questions(parts: int) -> int:
    """The most questions for one service: plain, failed, slow and rare ones, on two sides."""
    return 2 * (parts + 2 * _fewer(parts) + 1)


def _halves(window: Window, split: Timestamp | None) -> list[Window]:
    if split is None or not window.start < split < window.end:
        return [window]
    return [Window(start=window.start, end=split), Window(start=split, end=window.end)]


def _usual(side: _Side, services: Iterable[str]) -> dict[str, float]:
    """Per service the 90th percentile of its spans' seconds, where there are enough of them."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for span in side.spans():
        seconds[span.service].append(span.seconds)
    return {
        service: float(np.percentile(seconds[service], 90))
        for service in services
        if len(seconds[service]) >= TYPICAL
    }
