"""Data points of an OTLP request: gauges, sums, histograms of both kinds, and summaries.

Points take the names that the Prometheus queries give to the semantic conventions' metrics of
requests served; any other metric keeps its own name, with underscores, and `_rate`, `_avg` or
`_p95` where it is derived. Source: opentelemetry.io, "Metrics Data Model".
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any, NamedTuple

from copilot.alerts.formats.fields import clean
from copilot.sources.otlp.distributions import explicit, exponential
from copilot.sources.otlp.reading import (
    NAME_LIMIT,
    DecodeResult,
    RecordError,
    attributes,
    integer,
    moment,
    nanoseconds,
    number,
    objects,
    service_of,
)
from copilot.sources.received.buckets import scaled
from copilot.sources.received.measures import REQUEST_RATE, DataPoint
from tools.types import FloatArray, Timestamp

SERVED = frozenset(
    {
        "http_server_request_duration",
        "http_server_duration",  # before version 1.21 of the conventions
        "rpc_server_call_duration",
        "rpc_server_duration",  # before version 1.38
    }
)
STATUS = ("http.response.status_code", "http.status_code")
GRPC_STATUS = "rpc.grpc.status_code"
GRPC_FAILED = frozenset({2, 4, 12, 13, 14, 15})
"""Codes by which a server is to blame: opentelemetry.io, "Semantic conventions for gRPC"."""

ERROR = "error.type"

MOST_POINTS = 50_000
"""Data points taken of one request."""

_MS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_DELTA, _CUMULATIVE = 1, 2
_SILENT = 1
_INSTANCE = ("service.instance.id", "k8s.pod.name", "host.name")
_BUCKETS = {"histogram": explicit, "exponentialHistogram": exponential}
_FORMS = ("gauge", "sum", *_BUCKETS, "summary")


class _Metric(NamedTuple):
    service: str
    instance: str
    name: str
    unit: str

    @property
    def to_ms(self) -> float:
        """Factor to milliseconds; 0 where its unit is none of time."""
        return _MS.get(self.unit, 0.0)


def points(document: Mapping[str, Any], now: Timestamp) -> DecodeResult[DataPoint]:
    """The points; one that cannot be read whole is counted as rejected."""
    found: list[DataPoint] = []
    rejected, reason = 0, ""
    for seen, (metric, form, point, about) in enumerate(_each(document), start=1):
        try:
            if seen > MOST_POINTS:
                raise RecordError(f"more than {MOST_POINTS} data points in one request")
            found += tuple(_points(metric, form, point, about, now))
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
                for form in _FORMS:
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
    if not metric.name:
        raise RecordError("a metric has no name")
    if integer(point.get("flags")) & _SILENT:
        return
    labels = attributes(point.get("attributes"))
    base = DataPoint(
        at=moment(nanoseconds(point, "timeUnixNano"), now),
        service=metric.service,
        metric=metric.name,
        unit=metric.unit if metric.to_ms else "",
        stream=_stream(metric.instance, labels),
        value=0.0,
    )
    if form in _BUCKETS:
        since = _since(base, point, about)
        yield from _counted(metric, since, point, labels, _BUCKETS[form](point, metric.name))
    elif form == "summary":
        since = _since(base, point, {"aggregationTemporality": _CUMULATIVE})
        yield from _counted(metric, since, {"sum": 0.0} | point, labels, None)
        yield from _told_quantiles(metric, base, point)
    else:
        yield _simple(metric, form, base, point, about)


def _simple(
    metric: _Metric, form: str, base: DataPoint, point: dict[str, Any], about: dict[str, Any]
) -> DataPoint:
    """A gauge as it is, a sum as its rate."""
    value = number(point.get("asDouble", point.get("asInt")), metric.name)
    monotonic = about.get("isMonotonic") is True
    if form == "gauge" or (_temporality(about) == _CUMULATIVE and not monotonic):
        return replace(base, value=value)
    if not monotonic:
        raise RecordError(f"{metric.name!r} is a delta of a sum that may fall; send its total")
    named = f"{metric.name.removesuffix('_total')}_rate"
    since = _since(base, point, about)
    return replace(since, metric=named, unit="/s", value=value, way="sum")


class _Names(NamedTuple):
    """What a histogram's rate, mean and quantiles are called."""

    rate: str
    mean: str
    quantiles: tuple[tuple[str, float], ...]


def _names(metric: str) -> _Names:
    if metric in SERVED:
        quantiles = (("latency_p50_ms", 0.5), ("latency_p95_ms", 0.95))
        return _Names(REQUEST_RATE, "latency_avg_ms", quantiles)
    rate = f"{metric.removesuffix('_duration')}_rate"
    return _Names(rate, f"{metric}_avg", ((f"{metric}_p95", 0.95),))


def _counted(
    metric: _Metric,
    since: DataPoint,
    point: dict[str, Any],
    labels: Mapping[str, Any],
    buckets: FloatArray | None,
) -> Iterator[DataPoint]:
    """Rate, errors, mean and quantiles of what a histogram or summary counted."""
    count = number(point.get("count", 0), metric.name)
    if count < 0:
        raise RecordError(f"{metric.name!r} counts {count}")
    names = _names(metric.name)
    yield replace(since, metric=names.rate, unit="/s", value=count, way="sum")
    if metric.name in SERVED:
        part = 100 * count if _failed(labels) else 0.0
        yield replace(since, metric="error_pct", unit="%", value=part, weight=count, way="share")
    scale, unit = (metric.to_ms, "ms") if metric.to_ms else (1.0, "")
    if "sum" in point:
        total = scale * number(point["sum"], metric.name)
        yield replace(since, metric=names.mean, unit=unit, value=total, weight=count, way="share")
    if buckets is not None:
        yield replace(
            since,
            unit=unit,
            value=count,
            way="quantiles",
            buckets=scaled(buckets, scale),
            quantiles=names.quantiles,
        )


def _told_quantiles(metric: _Metric, base: DataPoint, point: dict[str, Any]) -> Iterator[DataPoint]:
    """Quantiles that a summary calculated itself; of several instances the worst is told."""
    named = {share: name for name, share in _names(metric.name).quantiles}
    scale, unit = (metric.to_ms, "ms") if metric.to_ms else (1.0, "")
    for one in objects(point.get("quantileValues")):
        name = named.get(number(one.get("quantile", 0.0), metric.name))
        if name and one.get("value") != "NaN":  # nothing was observed
            value = scale * number(one.get("value", 0.0), metric.name)
            yield replace(base, metric=name, unit=unit, value=value)


def _failed(labels: Mapping[str, Any]) -> bool:
    """Whether the server is to blame: 5xx, a code of gRPC, or an error where there is no status."""
    status = next((integer(labels[key]) for key in STATUS if key in labels), 0)
    if status:
        return status >= 500
    if GRPC_STATUS in labels:
        return integer(labels[GRPC_STATUS]) in GRPC_FAILED
    return bool(labels.get(ERROR))


def _since(base: DataPoint, point: dict[str, Any], about: Mapping[str, Any]) -> DataPoint:
    """The point with what its counts count from; 0 for a total whose beginning is not known."""
    start = integer(point.get("startTimeUnixNano")) / 1e9
    temporality = _temporality(about)
    if temporality == _CUMULATIVE:
        return replace(base, kind="total", start=start if 0 < start <= base.at else 0.0)
    if temporality != _DELTA:
        raise RecordError(f"{base.metric!r} says not whether it is a delta or cumulative")
    if not 0 < start < base.at:
        raise RecordError(f"{base.metric!r}: a delta has no beginning, or ends when it begins")
    return replace(base, kind="since", start=start)


def _temporality(about: Mapping[str, Any]) -> int:
    return integer(about.get("aggregationTemporality"))


def _stream(instance: str, labels: Mapping[str, Any]) -> str:
    told = repr((instance, sorted((key, str(value)) for key, value in labels.items())))
    return blake2b(told.encode("utf-8", "replace"), digest_size=8).hexdigest()
