"""All configured telemetry sources, asked together; what does not answer is named, not hidden."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, NoReturn, Self, TypeVar

from copilot.ports import (
    BusinessSource,
    ChangeSource,
    ClusterSource,
    CommitSource,
    FactSource,
    LogSource,
    LookReading,
    LookSource,
    MetricSource,
    RemoteSource,
    SourceError,
    TopologySource,
    TraceSource,
)
from copilot.sources.catalogue import NO_CATALOGUE, ServiceCatalogue
from copilot.sources.inspection import ClusterInspection, inspection
from copilot.sources.looks.look import look_findings, look_questions
from copilot.sources.patience import Patience, SharedAnswers, SourceQuestion
from copilot.types.redaction import Redactor
from tools.log_retriever import join_records
from tools.playbook_executor import known
from tools.types import (
    Change,
    Commit,
    Fact,
    Finding,
    LogReading,
    Series,
    Span,
    Subject,
    Telemetry,
    Timestamp,
    Topology,
    Window,
)

ValueT = TypeVar("ValueT", Change, Commit)

CHANGES_S = 86_400.0
"""A change older than a day is no longer what just happened."""

BUSINESS = "business metrics"

Questions = Callable[[Window, Timestamp], dict[str, SourceQuestion]]

SHARED_GRID_S = 60.0
"""Looks that begin within one minute ask for one window: no slower scrape is usual."""

NEWEST_S = 120.0
"""What is newest of a series: two points of the slowest usual scrape, once a minute."""


@dataclass(frozen=True, slots=True)
class UnconfiguredSource:
    """Stands in for a source that nobody configured; every question says so."""

    name: str

    def _refuse(self, *_when: object) -> NoReturn:
        raise self.refusal()[0]

    def refusal(self) -> tuple[SourceError]:
        """What every question raises."""
        return (SourceError(self.name, "not configured", recoverable=False),)

    series = baseline = lines = baseline_lines = spans = changes = topology = facts = _refuse
    reading = remotes = commits = slices = alerts = _refuse


@dataclass(frozen=True, slots=True)
class MetricSnapshot:
    """Series of a window, and of normal operation to hold them against."""

    series: tuple[Series, ...]
    baseline: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class TelemetrySnapshot:
    """What the sources returned for one window, and which of them had nothing to say and why.

    `findings` are those about the clusters' objects, and slices of business metrics.
    """

    telemetry: Telemetry
    missing: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """The telemetry sources of one deployment, asked side by side within `patience`.

    What they tell is redacted by `redactor`; log lines are where they are shown, by `excerpt`.
    `graph_s` is the longest wait for the call graph, which is then as it was told last. With
    `shared`, incidents that are looked at together share the answers; a recording needs none.
    """

    metrics: MetricSource = UnconfiguredSource("metrics")
    logs: LogSource = UnconfiguredSource("logs")
    traces: TraceSource = UnconfiguredSource("traces")
    graph: TopologySource = UnconfiguredSource("topology")
    changes: ChangeSource = UnconfiguredSource("changes")
    configuration: FactSource = UnconfiguredSource("configuration")
    cluster: ClusterSource = UnconfiguredSource("cluster")
    repository: CommitSource = UnconfiguredSource("commits")
    business: BusinessSource = UnconfiguredSource("business metrics")
    looks: tuple[LookSource, ...] = ()
    owners: ServiceCatalogue = NO_CATALOGUE
    patience: Patience = field(default_factory=Patience, compare=False)
    redactor: Redactor = field(default_factory=Redactor, compare=False)
    graph_s: float | None = None
    shared: SharedAnswers | None = field(default=None, compare=False)
    common: bool = False
    _last_graph: list[Topology] = field(default_factory=list, compare=False)

    @property
    def measured(self) -> bool:
        """Whether any source measures, so that waiting may show more than there is now."""
        told = (self.metrics, self.logs, self.traces, self.cluster)
        return not all(isinstance(one, UnconfiguredSource) for one in told)

    def in_common(self) -> Self:
        """The same sources, where what another incident was told within `SHARED_S` will do."""
        return self if self.shared is None else replace(self, common=True)

    def forget(self) -> None:
        """Keep no answer that is too old to serve another incident."""
        if self.shared is not None:
            self.shared.forget()

    def measure(self, window: Window, normal_before: Timestamp) -> MetricSnapshot:
        """Only the metrics, for what needs no more; empty where no source answers."""
        told = self.patience.together(self._questions(self._metrics, window, normal_before))
        return MetricSnapshot(
            series=self._named(_answer([], "metrics", told["series"])),
            baseline=self._named(_answer([], "metrics", told["baseline"])),
        )

    def look(
        self, window: Window, normal_before: Timestamp, first: Sequence[Subject] | None = None
    ) -> TelemetrySnapshot:
        """Ask every source for `window`, and for normal operation before `normal_before`.

        The clusters are inspected with them, objects of the subjects in `first` before all others,
        unless that is None.
        """
        missing: list[str] = []
        questions = self._questions(self._telemetry, window, normal_before)
        if first is not None:
            questions["cluster"] = self._inspection(window, first)
        if not isinstance(self.business, UnconfiguredSource):
            questions["business"] = _question(
                BUSINESS, self.business, lambda: self.business.slices(window, normal_before)
            )
        if first is not None:
            questions |= look_questions(self.looks, window, first)
        told = self.patience.together(questions)
        series = _answer(missing, "metrics", told["series"])
        log = self._log(told["logs"], window, missing)
        spans = _answer(missing, "traces", told["traces"])
        changes = _answer(missing, "changes", told["changes"], may_be_empty=True)
        telemetry = Telemetry(
            window=window,
            series=self._named(series),
            baseline=self._named(_answer([], "metrics", told["baseline"])),
            logs=log.lines,
            log_gaps=log.gaps,
            spans=self._unspoken(spans),
            changes=tuple(self.redactor.models(changes)),
            topology=self.topology(),
        )
        if not telemetry.topology.edges:
            missing.append("topology: not configured")
        findings = self._inspected(told["cluster"], missing) if first is not None else ()
        slices = _answer(missing, BUSINESS, told.get("business", ()), may_be_empty=True)
        further = self.redactor.models(look_findings(self.looks, told, missing))
        missing += self._lacking()
        return TelemetrySnapshot(telemetry, tuple(missing), (*findings, *slices, *further))

    def further(self, window: Window, about: Sequence[Subject]) -> LookReading:
        """Take the declared looks alone."""
        missing: list[str] = []
        told = self.patience.together(look_questions(self.looks, window, about))
        found = self.redactor.models(look_findings(self.looks, told, missing))
        return LookReading(tuple(found), tuple(missing))

    def _questions(
        self, asked: Questions, window: Window, before: Timestamp
    ) -> dict[str, SourceQuestion]:
        """In common: each is asked once for all incidents that began within a minute."""
        if self.shared is None or not self.common:
            return asked(window, before)
        shared, since = self.shared, window.start - window.start % SHARED_GRID_S
        normal = before - before % SHARED_GRID_S
        wide = Window(start=since, end=window.end)

        def once(key: str, one: SourceQuestion) -> SourceQuestion:
            about = (key, since, normal)
            return replace(
                one,
                ask=lambda: shared.ask(about, one.ask),
                known=lambda: one.known() or shared.known(about),
            )

        return {key: once(key, one) for key, one in asked(wide, normal).items()}

    def _telemetry(self, window: Window, before: Timestamp) -> dict[str, SourceQuestion]:
        return self._metrics(window, before) | {
            "logs": _question("logs", self.logs, lambda: self.whole_log(window)),
            "traces": _question("traces", self.traces, lambda: self.traces.spans(window, before)),
            "changes": _question("changes", self.changes, lambda: self.changes.changes(window)),
        }

    def _metrics(self, window: Window, before: Timestamp) -> dict[str, SourceQuestion]:
        return {
            "series": _question("metrics", self.metrics, lambda: self.metrics.series(window)),
            "baseline": _question("metrics", self.metrics, lambda: self.metrics.baseline(before)),
        }

    def _named(self, series: tuple[Series, ...]) -> tuple[Series, ...]:
        """Series whose names hold no secret, as the address in a label may."""
        secret = self.redactor.names(one.owner for one in series)
        if not secret:
            return series
        return tuple(replace(one, owner=secret.get(one.owner, one.owner)) for one in series)

    def _unspoken(self, spans: tuple[Span, ...]) -> tuple[Span, ...]:
        """Spans whose operations hold no secret, as the query of an address may."""
        secret = self.redactor.names(one.operation for one in spans)
        if not secret:
            return spans
        return tuple(
            replace(one, operation=secret.get(one.operation, one.operation)) for one in spans
        )

    def log_lines(self, window: Window) -> LogReading:
        """Return the lines of `window` as they were written; raises SourceError."""
        told: LogReading = self._asked("logs", self.logs, lambda: self.logs.lines(window))
        return told

    def _asked(self, name: str, source: object, question: Callable[[], Any]) -> Any:
        return self.patience.ask(_question(name, source, question))

    def recent_log(self, window: Window) -> LogReading:
        """Return the log records of `window`; raises SourceError."""
        recent = self.log_lines(window)
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

    def _log(self, told: Any, window: Window, missing: list[str]) -> LogReading:
        if isinstance(told, SourceError):
            missing.append(f"logs: {told.problem}")
            return LogReading()
        log: LogReading = told
        if not any(line.at in window for line in log):
            missing.append("logs: nothing recorded in this window")
        return log

    def _lacking(self) -> list[str]:
        """What sources that did answer could not tell."""
        named = (("metrics", self.metrics), ("logs", self.logs), ("traces", self.traces),
                 (BUSINESS, self.business))  # fmt: skip
        return [
            f"{name}: {problem}"
            for name, source in named
            if isinstance(source, RemoteSource)
            for problem in source.problems()
        ]

    def topology(self) -> Topology:
        """The service graph, empty where none is known; the last one where none answers in time."""

        def told() -> Topology:
            graph = self.redactor.model(self.graph.topology())
            self._last_graph[:] = [graph]
            return graph

        question = _question("topology", self.graph, told)
        try:
            answer: Topology = self.patience.ask(question, self.graph_s)
        except SourceError:
            return self._last_graph[0] if self._last_graph else Topology()
        return answer

    def commits(self, onset: Timestamp) -> tuple[Commit, ...]:
        """Commits of the day before `onset`; empty where no repository is read."""
        before = Window(start=onset - CHANGES_S, end=onset)
        return self._redacted("commits", self.repository, lambda: self.repository.commits(before))

    def recent_changes(self, onset: Timestamp) -> tuple[Change, ...]:
        """Changes of the day before `onset`; empty where nobody tells of any."""
        before = Window(start=onset - CHANGES_S, end=onset)
        return self._redacted("changes", self.changes, lambda: self.changes.changes(before))

    def _redacted(
        self, name: str, source: object, question: Callable[[], Sequence[ValueT]]
    ) -> tuple[ValueT, ...]:
        try:
            return tuple(self.redactor.models(self._asked(name, source, question)))
        except SourceError:
            return ()

    def inspect(
        self, window: Window, missing: list[str], first: Sequence[Subject] = ()
    ) -> tuple[Finding, ...]:
        """What is wrong with the clusters' objects; `missing` says what of them was not read.

        Objects of the subjects in `first` are looked at before all others.
        """
        told = self.patience.together({"cluster": self._inspection(window, first)})["cluster"]
        return self._inspected(told, missing)

    def _inspection(self, window: Window, first: Sequence[Subject]) -> SourceQuestion:
        def inspected() -> ClusterInspection:
            reading = self.cluster.reading()
            named = {one.name for one in first}
            if reading.several:
                named |= set(self.topology().nodes)
            found = inspection(reading, window, first, named)
            return replace(found, findings=(*reading.findings, *found.findings))

        return _question("cluster", self.cluster, inspected)

    def _inspected(self, told: Any, missing: list[str]) -> tuple[Finding, ...]:
        if isinstance(told, SourceError):
            missing.append(f"cluster: {told.problem}")
            return ()
        missing.extend(f"cluster: {line}" for line in told.missing)
        return tuple(self.redactor.models(told.findings))

    def facts(self, onset: Timestamp, now: Timestamp | None = None) -> dict[str, Fact]:
        """Return facts about components at `onset`, and where asked at `now`.

        Configured facts replace derived ones.
        """
        newest = Window(start=(now or onset) - NEWEST_S, end=now or onset)
        asked = self._metrics(newest, onset)
        told = self.patience.together(
            {
                **(asked if now is not None else {"baseline": asked["baseline"]}),
                "facts": _question("configuration", self.configuration, self.configuration.facts),
            }
        )
        baseline, recent = (
            self._named(_answer([], "metrics", told.get(one, ()))) for one in ("baseline", "series")
        )
        found = known(self.topology(), self.recent_changes(onset), baseline, onset, recent)
        if isinstance(told["facts"], SourceError):
            return found
        return found | self.redactor.document(dict(told["facts"]))


def _question(name: str, source: object, ask: Callable[[], Any]) -> SourceQuestion:
    """A question; of a source that is not configured with its answer, which needs no thread."""
    if isinstance(source, UnconfiguredSource):
        return SourceQuestion(name, source, ask, known=source.refusal)
    return SourceQuestion(name, source, ask)


def _answer(
    missing: list[str], name: str, told: Any, may_be_empty: bool = False
) -> tuple[Any, ...]:
    """The answer, or nothing and a line in `missing` that says why."""
    if isinstance(told, SourceError):
        missing.append(f"{name}: {told.problem}")
        return ()
    if not told and not may_be_empty:
        missing.append(f"{name}: nothing recorded in this window")
    return tuple(told)
