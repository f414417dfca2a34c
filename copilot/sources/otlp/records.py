"""Spans, log records and data points of an OTLP request, and the callees that only a span names.

Data points take the names that the Prometheus queries give to the semantic conventions' metrics of
requests served; any other metric keeps its own name, with underscores, and `_rate` or `_avg` where
it is derived.
"""

import math
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

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
    service_of,
    text,
)
from copilot.sources.received.measures import Aggregation, DataPoint, Temporality
from tools.log_retriever import with_exception
from tools.types import LogLine, Span, Timestamp

_ERROR = 2
_CLIENT, _PRODUCER = 3, 4
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
        if integer(record.get("kind")) in (_CLIENT, _PRODUCER):
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
    return isinstance(status, dict) and integer(status.get("code")) == _ERROR


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


SERVED = frozenset({"http_server_request_duration", "http_server_duration", "rpc_server_duration"})
STATUS = ("http.response.status_code", "http.status_code")
MOST_POINTS = 50_000
"""Data points taken of one request."""

_MS = {"s": 1000.0, "ms": 1.0, "us": 1e-3}
_DELTA, _CUMULATIVE = 1, 2
_SILENT = 1
_INSTANCE = ("service.instance.id", "k8s.pod.name", "host.name")
_UNREAD = ("exponentialHistogram", "summary")


class _Metric(NamedTuple):
    service: str
    instance: str
    name: str
    unit: str


def points(document: Mapping[str, Any], now: Timestamp) -> DecodeResult[DataPoint]:
    """The points; exponential histograms and summaries are counted as rejected."""
    found: list[DataPoint] = []
    rejected, reason = 0, ""
    for seen, (metric, form, point, about) in enumerate(_each(document), start=1):
        try:
            if seen > MOST_POINTS:
                raise RecordError(f"more than {MOST_POINTS} data points in one request")
            found += _points(metric, form, point, about, now)
        except RecordError as error:
            rejected, reason = rejected + 1, reason or str(error)
    return DecodeResult(tuple(found), rejected, reason)


def _each(document: Mapping[str, Any]) -> Iterator[tuple[_Metric, str, dict[str, Any], Any]]:
    for resource in objects(document.get("resourceMetrics")):
        service = service_of(resource.get("resource"))
        told = resource.get("resource")
        known = attributes(told.get("attributes")) if isinstance(told, dict) else {}
        instance = next((str(known[key]) for key in _INSTANCE if key in known), "")
        for scope in objects(resource.get("scopeMetrics")):
            for one in objects(scope.get("metrics")):
                metric = _Metric(service, instance, _name(one.get("name")), str(one.get("unit")))
                for form in ("gauge", "sum", "histogram", *_UNREAD):
                    about = one.get(form)
                    if isinstance(about, dict):
                        for point in objects(about.get("dataPoints")):
                            yield metric, form, point, about


def _name(given: object) -> str:
    told = clean(given, NAME_LIMIT) if isinstance(given, str) else ""
    return "".join(letter if letter.isalnum() else "_" for letter in told)


def _points(
    metric: _Metric, form: str, point: dict[str, Any], about: dict[str, Any], now: Timestamp
) -> Iterator[DataPoint]:
    if form in _UNREAD:
        raise RecordError(f"{metric.name!r} is a {form}; send an explicit-bucket histogram")
    if not metric.name:
        raise RecordError("a metric has no name")
    if integer(point.get("flags")) & _SILENT:
        return
    labels = attributes(point.get("attributes"))
    base = DataPoint(
        at=moment(nanoseconds(point, "timeUnixNano"), now),
        service=metric.service,
        metric=metric.name,
        unit=metric.unit if metric.unit in _MS else "",
        stream=_stream(metric.instance, labels),
        value=0.0,
    )
    if form == "histogram":
        yield from _histogram(metric, base, point, about, labels)
        return
    value = _number(point.get("asDouble", point.get("asInt")), metric.name)
    if form == "gauge" or (_temporality(about) == _CUMULATIVE and not _monotonic(about)):
        yield _with(base, metric.name, base.unit, value, 0.0, "worst", "now", 0.0)
        return
    if not _monotonic(about):
        raise RecordError(f"{metric.name!r} is a delta of a sum that may fall; send its total")
    kind, start = _since(base, point, about)
    yield _with(base, f"{_counted(metric.name)}_rate", "/s", value, 0.0, "sum", kind, start)


def _histogram(
    metric: _Metric,
    base: DataPoint,
    point: dict[str, Any],
    about: dict[str, Any],
    labels: Mapping[str, Any],
) -> Iterator[DataPoint]:
    kind, start = _since(base, point, about)
    count = _number(point.get("count", 0), metric.name)
    if count < 0:
        raise RecordError(f"{metric.name!r} counts {count}")
    scale = _MS.get(metric.unit)
    served = metric.name in SERVED
    named = "request" if served else metric.name.removesuffix("_duration")
    yield _with(base, f"{named}_rate", "/s", count, 0.0, "sum", kind, start)
    if served:
        failed = any(integer(labels.get(key)) >= 500 for key in STATUS)
        part = 100 * count if failed else 0.0
        yield _with(base, "error_pct", "%", part, count, "share", kind, start)
    if "sum" in point:
        total = _number(point["sum"], metric.name) * (scale or 1.0)
        timed = "latency_avg_ms" if served else f"{metric.name}_avg"
        unit = "ms" if scale else ""
        yield _with(base, timed, unit, total, count, "share", kind, start)


def _with(
    base: DataPoint,
    name: str,
    unit: str,
    value: float,
    weight: float,
    way: Aggregation,
    kind: Temporality,
    start: float,
) -> DataPoint:
    return DataPoint(
        base.at, base.service, name, unit, base.stream, value, weight, way, kind, start
    )


def _since(
    base: DataPoint, point: dict[str, Any], about: dict[str, Any]
) -> tuple[Temporality, Timestamp]:
    temporality = _temporality(about)
    if temporality == _CUMULATIVE:
        return "total", 0.0
    if temporality != _DELTA:
        raise RecordError(f"{base.metric!r} says not whether it is a delta or cumulative")
    start = nanoseconds(point, "startTimeUnixNano") / 1e9
    if start >= base.at:
        raise RecordError(f"{base.metric!r}: a delta ends when it begins, or before")
    return "since", start


def _temporality(about: Mapping[str, Any]) -> int:
    return integer(about.get("aggregationTemporality"))


def _monotonic(about: Mapping[str, Any]) -> bool:
    return about.get("isMonotonic") is True


def _counted(name: str) -> str:
    return name.removesuffix("_total")


def _number(given: object, name: str) -> float:
    value = (
        float(integer(given)) if isinstance(given, str) and given.lstrip("-").isdecimal() else given
    )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{name!r} has no finite value")
    try:
        found = float(value)
    except OverflowError as error:
        raise RecordError(f"{name!r} has no finite value") from error
    if not math.isfinite(found) or abs(found) > 1e300:
        raise RecordError(f"{name!r} has no finite value")
    return found


def _stream(instance: str, labels: Mapping[str, Any]) -> str:
    told = repr((instance, sorted((key, str(value)) for key, value in labels.items())))
    return blake2b(told.encode("utf-8", "replace"), digest_size=8).hexdigest()
