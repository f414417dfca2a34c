"""All configured telemetry sources, asked together; what does not answer is named, not hidden."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NoReturn, TypeVar

from copilot.ports import (
    ChangeSource,
    ClusterSource,
    CommitSource,
    FactSource,
    LogSource,
    MetricSource,
    RemoteSource,
    SourceError,
    TopologySource,
    TraceSource,
)
from copilot.sources.inspection import inspection
from tools.log_retriever import join_records
from tools.playbook_executor import known
from tools.types import (
    Change,
    Commit,
    Fact,
    Finding,
    LogReading,
    Series,
    Subject,
    Telemetry,
    Timestamp,
    Topology,
    Window,
)

QueryResultT = TypeVar("QueryResultT")

CHANGES_S = 86_400.0
"""A change older than a day is no longer what just happened."""


@dataclass(frozen=True, slots=True)
class UnconfiguredSource:
    """Stands in for a source that nobody configured; every question says so."""

    name: str

    def _refuse(self, *_when: object) -> NoReturn:
        raise SourceError(self.name, "not configured", recoverable=False)

    series = baseline = lines = baseline_lines = spans = changes = topology = facts = _refuse
    reading = remotes = commits = _refuse


@dataclass(frozen=True, slots=True)
class MetricSnapshot:
    """Series of a window, and of normal operation to hold them against."""

    series: tuple[Series, ...]
    baseline: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class TelemetrySnapshot:
    """What the sources returned for one window, and which of them had nothing to say and why."""

    telemetry: Telemetry
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """The telemetry sources of one deployment."""

    metrics: MetricSource = UnconfiguredSource("metrics")
    logs: LogSource = UnconfiguredSource("logs")
    traces: TraceSource = UnconfiguredSource("traces")
    graph: TopologySource = UnconfiguredSource("topology")
    changes: ChangeSource = UnconfiguredSource("changes")
    configuration: FactSource = UnconfiguredSource("configuration")
    cluster: ClusterSource = UnconfiguredSource("cluster")
    repository: CommitSource = UnconfiguredSource("commits")

    def measure(self, window: Window, normal_before: Timestamp) -> MetricSnapshot:
        """Only the metrics, for what needs no more; empty where no source answers."""
        return MetricSnapshot(
            series=_ask([], "metrics", lambda: self.metrics.series(window)),
            baseline=_ask([], "metrics", lambda: self.metrics.baseline(normal_before)),
        )

    def look(self, window: Window, normal_before: Timestamp) -> TelemetrySnapshot:
        """Ask every source for `window`, and for normal operation before `normal_before`."""
        missing: list[str] = []
        series = _ask(missing, "metrics", lambda: self.metrics.series(window))
        log = self._log(window, missing)
        telemetry = Telemetry(
            window=window,
            series=series,
            baseline=_ask([], "metrics", lambda: self.metrics.baseline(normal_before)),
            logs=log.lines,
            log_gaps=log.gaps,
            spans=_ask(missing, "traces", lambda: self.traces.spans(window, normal_before)),
            changes=_ask(
                missing, "changes", lambda: self.changes.changes(window), may_be_empty=True
            ),
            topology=self.topology(),
        )
        if not telemetry.topology.edges:
            missing.append("topology: not configured")
        missing += self._lacking()
        return TelemetrySnapshot(telemetry, tuple(missing))

    def recent_log(self, window: Window) -> LogReading:
        """Return the log records of `window`; raises SourceError."""
        recent = self.logs.lines(window)
        return LogReading(join_records(line for line in recent if line.at in window), recent.gaps)

    def whole_log(self, window: Window) -> LogReading:
        """Return the log records of `window` and of normal operation before it, each once.

        The one place where the two meet: what is told of normal operation ends where the window
        begins. Raises SourceError where the window cannot be read; the past may be unknown.
        """
        recent = self.logs.lines(window)
        try:
            past = self.logs.baseline_lines(window.start)
        except SourceError:
            past = LogReading()
        earlier = (line for line in past if line.at < window.start)
        later = (line for line in recent if line.at in window)
        return LogReading(join_records(chain(earlier, later)), (*past.gaps, *recent.gaps))

    def _log(self, window: Window, missing: list[str]) -> LogReading:
        try:
            log = self.whole_log(window)
        except SourceError as error:
            missing.append(f"logs: {error.problem}")
            return LogReading()
        if not any(line.at in window for line in log):
            missing.append("logs: nothing recorded in this window")
        return log

    def _lacking(self) -> list[str]:
        """What sources that did answer could not tell."""
        named = (("metrics", self.metrics), ("logs", self.logs), ("traces", self.traces))
        return [
            f"{name}: {problem}"
            for name, source in named
            if isinstance(source, RemoteSource)
            for problem in source.problems()
        ]

    def topology(self) -> Topology:
        """The service graph, empty where none is known."""
        try:
            return self.graph.topology()
        except SourceError:
            return Topology()

    def commits(self, onset: Timestamp) -> tuple[Commit, ...]:
        """Commits of the day before `onset`; empty where no repository is read."""
        before = Window(start=onset - CHANGES_S, end=onset)
        return _ask([], "commits", lambda: self.repository.commits(before))

    def recent_changes(self, onset: Timestamp) -> tuple[Change, ...]:
        """Changes of the day before `onset`; empty where nobody tells of any."""
        before = Window(start=onset - CHANGES_S, end=onset)
        return _ask([], "changes", lambda: self.changes.changes(before))

    def inspect(
        self, window: Window, missing: list[str], first: Sequence[Subject] = ()
    ) -> tuple[Finding, ...]:
        """What is wrong with the clusters' objects; `missing` says what of them was not read.

        Objects of the subjects in `first` are looked at before all others.
        """

        def findings() -> Sequence[Finding]:
            reading = self.cluster.reading()
            named = {one.name for one in first}
            if reading.several:
                named |= set(self.topology().nodes)
            inspected = inspection(reading, window, first, named)
            missing.extend(f"cluster: {line}" for line in inspected.missing)
            return (*reading.findings, *inspected.findings)

        return _ask(missing, "cluster", findings, may_be_empty=True)

    def facts(self, onset: Timestamp) -> dict[str, Fact]:
        """Return facts about components at `onset`; configured facts replace derived ones."""
        found = known(
            self.topology(),
            self.recent_changes(onset),
            _ask([], "metrics", lambda: self.metrics.baseline(onset)),
            onset,
        )
        try:
            return found | dict(self.configuration.facts())
        except SourceError:
            return found


def _ask(
    missing: list[str],
    name: str,
    question: Callable[[], Sequence[QueryResultT]],
    may_be_empty: bool = False,
) -> tuple[QueryResultT, ...]:
    """The answer, or nothing and a line in `missing` that says why."""
    try:
        answer = tuple(question())
    except SourceError as error:
        missing.append(f"{name}: {error.problem}")
        return ()
    if not answer and not may_be_empty:
        missing.append(f"{name}: nothing recorded in this window")
    return answer
