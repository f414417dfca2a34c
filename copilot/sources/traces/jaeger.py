"""Jaeger as a store of traces, by the JSON of its user interface or by its API of version 3.

Sources: jaegertracing.io/docs/latest/apis and, for the parameters, query_parser.go of Jaeger 1 and
2 (times in microseconds, a service is required, tags are a JSON object). Every Jaeger and what
speaks like one (VictoriaTraces) has the first; it alone searches by tags in every release, so it is
asked where it is there. Version 3 (jaegertracing/jaeger: docs/apis/api_v3_http.md) answers in OTLP.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from copilot.alerts.formats.fields import clean
from copilot.ports import SourceError
from copilot.sources.json_api import AnswerError, JsonApi, TooLargeError
from copilot.sources.otlp.reading import NAME_LIMIT, RecordError, identifier, moment, objects
from copilot.sources.otlp.records import spans
from copilot.sources.traces.trace_store import StoredTrace, TraceQuestion, misdirected
from tools.types import Span, Timestamp, Window

_HINT = (
    "is it Jaeger's query service (http://jaeger:16686, with its base path if it has one), and not "
    "a page of its user interface, gRPC (16685) or a port that takes spans (14268, 4318)?"
)
_ITS_OWN = frozenset({"jaeger", "jaeger-all-in-one", "jaeger-query"})
"""Names under which Jaeger traces the questions it is asked; source: its cmd/*/main.go."""

_LONGEST_US = 86_400_000_000
_CALLING = ("client", "producer")


class JaegerStore:
    """One Jaeger; which API it has is found out with the first question and again if it fails."""

    any_service = False
    counted = "that it has spans of"

    def __init__(self, api: JsonApi) -> None:
        self._api = api
        self.source = api.source
        self._version = 1

    def services(self, window: Window) -> Sequence[str]:
        """All services it knows; it does not say when they sent something last."""
        try:
            self._version, names = 1, self._listed(self._api.get("/api/services"), "data")
        except SourceError as error:
            if not isinstance(error, AnswerError) or error.status not in (200, 404):
                raise misdirected(error, _HINT) from error
            self._version, names = 3, self._third()
        return sorted(set(names) - _ITS_OWN)

    def edges(self, window: Window) -> Sequence[tuple[str, str]]:
        """Calls as Jaeger's own job has counted them; nothing where none runs."""
        if self._version != 1:
            return ()
        asked = {"endTs": round(window.end * 1e3), "lookback": round(window.seconds * 1e3)}
        answer = self._api.get("/api/dependencies", asked)
        links = objects(answer.get("data")) if isinstance(answer, dict) else ()
        pairs = ((link.get("parent"), link.get("child")) for link in links)
        return [
            (clean(caller, NAME_LIMIT), clean(callee, NAME_LIMIT))
            for caller, callee in pairs
            if isinstance(caller, str) and isinstance(callee, str) and caller and callee
        ]

    def find(
        self, question: TraceQuestion, known: Collection[str], now: Timestamp
    ) -> Iterator[StoredTrace]:
        """Whole traces; where they are too large for one answer, fewer of them."""
        limit = question.limit
        while True:
            try:
                answer = self._search(question, limit)
                break
            except TooLargeError:
                if limit == 1:
                    raise
                limit //= 2
        read = _first(answer, now) if self._version == 1 else _otlp(answer, now)
        return (trace for trace in read if trace.id not in known)

    def _third(self) -> list[str]:
        """The services by version 3, where version 1 is not there."""
        try:
            return self._listed(self._api.get("/api/v3/services"), "services")
        except AnswerError as error:
            raise misdirected(error, _HINT) from error

    def _listed(self, answer: Any, field: str) -> list[str]:
        """Names in a field; Jaeger writes null where it has none."""
        names = answer.get(field, answer) if isinstance(answer, dict) else answer
        if names is None:
            return []
        if not isinstance(names, list):
            problem = f"the answer has no list of services; {_HINT}"
            raise SourceError(self.source, problem, recoverable=False)
        return [name for name in names if isinstance(name, str) and name]

    def _search(self, question: TraceQuestion, limit: int) -> Any:
        if self._version == 1:
            return self._api.get("/api/traces", _parameters(question, limit))
        try:
            return self._api.get("/api/v3/traces", _parameters_v3(question, limit))
        except AnswerError as error:
            if error.status == 404:  # its word for: no traces found
                return {}
            raise


def _parameters(question: TraceQuestion, limit: int) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "service": question.service,
        "start": round(question.window.start * 1e6),
        "end": round(question.window.end * 1e6),
        "limit": limit,
    }
    if question.failed:
        asked["tags"] = json.dumps({"error": "true"})
    if question.slower_s:
        asked["minDuration"] = f"{round(question.slower_s * 1e6)}us"
    return asked


def _parameters_v3(question: TraceQuestion, limit: int) -> dict[str, Any]:
    """Every parameter by both its names: the later one, and the one that older releases know."""
    asked = {
        ("serviceName", "service_name"): question.service,
        ("startTimeMin", "start_time_min"): _rfc3339(question.window.start),
        ("startTimeMax", "start_time_max"): _rfc3339(question.window.end),
        ("searchDepth", "search_depth"): str(limit),
        ("searchDepth", "num_traces"): str(limit),
    }
    if question.slower_s:
        asked["durationMin", "duration_min"] = f"{round(question.slower_s * 1e6)}us"
    found = {f"query.{name}": value for names, value in asked.items() for name in names}
    # Releases that do not know it answer with any traces, so then the sample is a plain one.
    return found | ({"query.attributes": '{"error":"true"}'} if question.failed else {})


def _rfc3339(at: Timestamp) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _otlp(answer: Any, now: Timestamp) -> Iterator[StoredTrace]:
    """The traces of one OTLP document, apart."""
    document = answer.get("result", answer) if isinstance(answer, dict) else {}
    read, peers = spans(document if isinstance(document, dict) else {}, now)
    traces: dict[str, list[Span]] = defaultdict(list)
    for span in read.items:
        traces[span.trace].append(span)
    rejected, reason = read.rejected, read.reason
    for trace, members in traces.items():
        yield StoredTrace(trace, tuple(members), frozenset(peers), rejected, reason)
        rejected, reason = 0, ""


def _first(answer: Any, now: Timestamp) -> Iterator[StoredTrace]:
    """The traces of an answer of the user interface's API."""
    for trace in objects(answer.get("data") if isinstance(answer, dict) else None):
        yield _trace(trace, now)


def _trace(trace: Mapping[str, Any], now: Timestamp) -> StoredTrace:
    processes = trace.get("processes")
    services = {
        key: clean(str(one.get("serviceName", "")), NAME_LIMIT)
        for key, one in (processes.items() if isinstance(processes, dict) else ())
        if isinstance(one, dict)
    }
    found: list[Span] = []
    peers: set[tuple[str, str]] = set()
    rejected, reason = 0, ""
    for record in objects(trace.get("spans")):
        try:
            tags = _tags(record)
            span = _span(record, services, tags, now)
        except RecordError as error:
            rejected, reason = rejected + 1, reason or str(error)
            continue
        found.append(span)
        peer = tags.get("peer.service")
        if tags.get("span.kind") in _CALLING and isinstance(peer, str) and peer:
            peers.add((span.service, clean(peer, NAME_LIMIT)))
    name = found[0].trace if found else str(trace.get("traceID", ""))[:32]
    return StoredTrace(name, tuple(found), frozenset(peers), rejected, reason)


def _span(
    record: Mapping[str, Any], services: Mapping[str, str], tags: Mapping[str, Any], now: Timestamp
) -> Span:
    start, duration = record.get("startTime"), record.get("duration")
    if not isinstance(start, int) or not isinstance(duration, int):
        raise RecordError("a span has no startTime or no duration")
    if not 0 <= duration <= _LONGEST_US:
        raise RecordError(f"a span takes {duration} µs")
    service = services.get(str(record.get("processID")), "")
    span = _identifier(record.get("spanID"), 8)
    if not service or not span:
        raise RecordError("a span has no spanID or no process")
    trace = _identifier(record.get("traceID"), 16)
    return Span(
        at=moment(start * 1000, now),
        trace=trace,
        span=span,
        parent=_parent(record, trace),
        service=service,
        operation=clean(str(record.get("operationName", "")), NAME_LIMIT),
        seconds=duration / 1e6,
        error=tags.get("error") in (True, "true") or tags.get("otel.status_code") == "ERROR",
    )


def _parent(record: Mapping[str, Any], trace: str) -> str:
    """The span it is a child of, or, where it is none's, that it follows, in the same trace."""
    told = {
        str(one.get("refType")): _identifier(one.get("spanID"), 8)
        for one in reversed(list(objects(record.get("references"))))
        if _identifier(one.get("traceID"), 16) == trace
    }
    return told.get("CHILD_OF") or told.get("FOLLOWS_FROM", "")


def _identifier(given: object, size: int) -> str:
    """Jaeger leaves out leading zeros: of a short trace id, and in old releases of any id."""
    if not isinstance(given, str) or not given or len(given) > 2 * size:
        raise RecordError(f"{str(given)[:40]!r} is no id of {size} bytes")
    return identifier(given.zfill(2 * size), size)


def _tags(record: Mapping[str, Any]) -> dict[str, Any]:
    return {str(one.get("key")): one.get("value") for one in objects(record.get("tags"))}
