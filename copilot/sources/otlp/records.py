"""Spans and log records of an OTLP request, and the callees that only a span names."""

from collections.abc import Mapping
from typing import Any

from copilot.alerts.formats.fields import clean
from copilot.sources.otlp.reading import (
    NAME_LIMIT,
    DecodeResult,
    RecordError,
    attributes,
    each,
    identifier,
    integer,
    moment,
    nanoseconds,
    objects,
    text,
)
from tools.log_retriever import with_exception
from tools.types import LogLine, Span, Timestamp

_ERROR = 2
_CLIENT, _PRODUCER = 3, 4
_NAMED = {"STATUS_CODE_ERROR": _ERROR, "SPAN_KIND_CLIENT": _CLIENT, "SPAN_KIND_PRODUCER": _PRODUCER}
"""OTLP's JSON has enumerations as integers, that of protobuf (Tempo answers with it) by name."""

_LONGEST_S = 86_400.0


def spans(
    document: Mapping[str, Any], now: Timestamp
) -> tuple[DecodeResult[Span], set[tuple[str, str]]]:
    """The spans, and (caller, callee) of every outgoing call that names its peer."""
    found: list[Span] = []
    peers: set[tuple[str, str]] = set()
    rejected, reason = 0, ""
    for service, record in each(document, "resourceSpans", "scopeSpans", "spans"):
        try:
            found.append(_span(service, record, now))
        except RecordError as error:
            rejected, reason = rejected + 1, reason or str(error)
            continue
        if _enumerated(record.get("kind")) in (_CLIENT, _PRODUCER):
            peer = attributes(record.get("attributes")).get("peer.service")
            if isinstance(peer, str) and (named := clean(peer, NAME_LIMIT)):
                peers.add((service, named))
    return DecodeResult(tuple(found), rejected, reason), peers


def _span(service: str, record: Mapping[str, Any], now: Timestamp) -> Span:
    start = nanoseconds(record, "startTimeUnixNano")
    seconds = (nanoseconds(record, "endTimeUnixNano") - start) / 1e9
    if not 0 <= seconds <= _LONGEST_S:
        raise RecordError(f"a span takes {seconds:.3f} s")
    trace = identifier(record.get("traceId"), 16)
    span = identifier(record.get("spanId"), 8)
    if not trace or not span:
        raise RecordError("a span has no traceId or no spanId")
    name = record.get("name")
    return Span(
        at=moment(start, now),
        trace=trace,
        span=span,
        parent=identifier(record.get("parentSpanId"), 8),
        service=service,
        operation=clean(name, NAME_LIMIT) if isinstance(name, str) else "",
        seconds=seconds,
        error=_failed(record),
    )


def _failed(record: Mapping[str, Any]) -> bool:
    """A status that nobody set is no error, as the specification says."""
    status = record.get("status")
    return isinstance(status, dict) and _enumerated(status.get("code")) == _ERROR


def _enumerated(given: object) -> int:
    return _NAMED.get(given, 0) if isinstance(given, str) else integer(given)


_LEVELS = ((21, "FATAL"), (17, "ERROR"), (13, "WARN"), (9, "INFO"), (5, "DEBUG"), (1, "TRACE"))


def lines(document: Mapping[str, Any], now: Timestamp) -> DecodeResult[LogLine]:
    """The lines; a body that is no text is written as JSON, an exception beside it follows it."""
    found: list[LogLine] = []
    rejected, reason = 0, ""
    for resource in objects(document.get("resourceLogs")):
        writer = _writer(resource.get("resource"))
        alone = {"resourceLogs": [resource]}
        for service, record in each(alone, "resourceLogs", "scopeLogs", "logRecords"):
            try:
                found.append(_line(service, writer, record, now))
            except RecordError as error:
                rejected, reason = rejected + 1, reason or str(error)
    return DecodeResult(tuple(found), rejected, reason)


_WRITER = ("k8s.pod.name", "k8s.container.name", "container.id", "service.instance.id", "host.name")


def _writer(resource: object) -> str:
    known = attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
    return " ".join(clean(str(known[name]), NAME_LIMIT) for name in _WRITER if known.get(name))


def _line(service: str, writer: str, record: Mapping[str, Any], now: Timestamp) -> LogLine:
    at = moment(nanoseconds(record, "timeUnixNano", "observedTimeUnixNano"), now)
    known = attributes(record.get("attributes"))
    raised = (_text_of(known, f"exception.{part}") for part in ("type", "message", "stacktrace"))
    places = (writer, _text_of(known, "log.file.path"), _text_of(known, "log.iostream"))
    return LogLine(
        at=at,
        service=service,
        level=_level(record),
        message=with_exception(text(record.get("body")), *raised),
        trace=identifier(record.get("traceId"), 16),
        stream=" ".join(filter(None, places)),
        cut=_text_of(known, "logtag") == "P",
    )


def _text_of(known: Mapping[str, Any], name: str) -> str:
    told = known.get(name)
    return told if isinstance(told, str) else ""


def _level(record: Mapping[str, Any]) -> str:
    said = record.get("severityText")
    if isinstance(said, str) and said:
        return clean(said, 20)
    number = integer(record.get("severityNumber"))
    return next((name for least, name in _LEVELS if number >= least), "")
