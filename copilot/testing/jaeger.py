"""A server that speaks the parts of Jaeger's HTTP APIs that reading traces needs, strictly.

Sources: jaegertracing.io/docs/latest/apis; jaegertracing/jaeger: internal/query_parser.go and
http_handler.go (the JSON of the user interface), apiv3/http_gateway.go and its snapshots (version
3), and cmd/query/app/fixture for the shape of a trace. What no API serves is the page of the user
interface, with 200.
"""

import json
import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer
from copilot.testing.traces import ExportedSpan, by_trace

PAGE = b"<!doctype html><html><head><title>Jaeger UI</title></head></html>"
_KNOWN = frozenset({"service", "start", "end", "limit", "tags", "minDuration"})
_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_US = re.compile(r"(\d+)us")


class JaegerServer(StrictServer):
    """Holds spans; `versions` are the APIs it serves, the newest traces are found first.

    `camel` says whether version 3 has its parameters by their later names, and the attributes with
    them; `links` are what its job for dependencies has counted.
    """

    name = "Jaeger"

    def __init__(
        self,
        exported: Iterable[ExportedSpan],
        *,
        versions: Collection[int] = (1, 3),
        camel: bool = True,
        base: str = "",
        links: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__()
        self.traces = by_trace(exported)
        self.versions = frozenset(versions)
        self.camel = camel
        self.base = base
        self.links = tuple(links)

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        version = 3 if asked.path.startswith(f"{self.base}/api/v3/") else 1
        routes = {
            f"{self.base}/api/services": self._services,
            f"{self.base}/api/traces": self._search,
            f"{self.base}/api/dependencies": self._dependencies,
            f"{self.base}/api/v3/services": self._services_v3,
            f"{self.base}/api/v3/traces": self._search_v3,
        }
        route = routes.get(asked.path)
        if route is None or version not in self.versions:
            return HttpReply(200, PAGE)
        return route(asked)

    def _names(self) -> list[str]:
        return sorted({one.span.service for spans in self.traces.values() for one in spans})

    def _services(self, asked: ReceivedRequest) -> HttpReply:
        names = self._names()
        return HttpReply(200, _structured(names or None) | {"total": len(names)})

    def _services_v3(self, asked: ReceivedRequest) -> HttpReply:
        return HttpReply(200, {"services": self._names()})

    def _dependencies(self, asked: ReceivedRequest) -> HttpReply:
        if not (asked.one("endTs").isdecimal() and asked.one("lookback").isdecimal()):
            return _refused(400, "unable to parse param 'endTs'")
        links = [{"parent": a, "child": b, "callCount": 7} for a, b in self.links]
        return HttpReply(200, _structured(links or None))

    def _search(self, asked: ReceivedRequest) -> HttpReply:
        if unknown := set(asked.query) - _KNOWN:
            return _refused(400, f"unknown parameters {sorted(unknown)}")
        if not asked.one("service"):
            return _refused(400, "parameter 'service' is required")
        for name in ("start", "end", "limit"):
            if not asked.one(name).isdecimal():
                return _refused(400, f"unable to parse param '{name}': invalid syntax")
        shortest = _US.fullmatch(asked.one("minDuration") or "0us")
        if shortest is None:
            return _refused(400, "unable to parse param 'minDuration': time: unknown unit")
        start, end = int(asked.one("start")) / 1e6, int(asked.one("end")) / 1e6
        if start > end:
            return _refused(400, "invalid parameter: start time must be before end time")
        failed = json.loads(asked.one("tags") or "{}").get("error") == "true"
        found = self._found(
            asked.one("service"), (start, end), int(shortest[1]) / 1e6, failed=failed
        )
        limit = int(asked.one("limit"))
        return HttpReply(200, _structured([_trace(spans) for spans in found[:limit]]))

    def _search_v3(self, asked: ReceivedRequest) -> HttpReply:
        def told(camel: str, snake: str) -> str:
            return asked.one(f"query.{camel if self.camel else snake}")

        start, end = told("startTimeMin", "start_time_min"), told("startTimeMax", "start_time_max")
        if not start or not end:
            return _gateway(400, "query.start_time_min and query.start_time_max are required")
        shortest = _US.fullmatch(told("durationMin", "duration_min") or "0us")
        depth = told("searchDepth", "search_depth")
        if shortest is None or not depth.isdecimal():
            return _gateway(400, "malformed parameter query.duration_min")
        attributes = json.loads(asked.one("query.attributes") or "{}") if self.camel else {}
        found = self._found(
            told("serviceName", "service_name"),
            (datetime.fromisoformat(start).timestamp(), datetime.fromisoformat(end).timestamp()),
            int(shortest[1]) / 1e6,
            failed=attributes.get("error") == "true",
        )[: int(depth)]
        if not found:
            return _gateway(404, "No traces found")
        return HttpReply(200, {"result": {"resourceSpans": [r for t in found for r in _otlp(t)]}})

    def _found(
        self, service: str, between: tuple[float, float], shortest: float, *, failed: bool
    ) -> list[list[ExportedSpan]]:
        def matches(one: ExportedSpan) -> bool:
            span = one.span
            return (
                span.service == service
                and between[0] <= span.at <= between[1]
                and span.seconds >= shortest
                and (not failed or bool(span.error))
            )

        found = [spans for spans in self.traces.values() if any(map(matches, spans))]
        return sorted(found, key=lambda spans: -spans[0].span.at)


def _structured(data: object, errors: object = None) -> dict[str, Any]:
    return {"data": data, "total": 0, "limit": 0, "offset": 0, "errors": errors}


def _refused(code: int, said: str) -> HttpReply:
    return HttpReply(code, _structured(None, [{"code": code, "msg": said}]))


def _gateway(code: int, said: str) -> HttpReply:
    return HttpReply(code, {"error": {"httpCode": code, "message": said}})


def _trace(spans: list[ExportedSpan]) -> dict[str, Any]:
    services = list(dict.fromkeys(one.span.service for one in spans))
    keys = {name: f"p{n}" for n, name in enumerate(services, 1)}
    return {
        "traceID": _short(spans[0].span.trace),
        "spans": [_span(one, keys[one.span.service]) for one in spans],
        "processes": {key: {"serviceName": name, "tags": []} for name, key in keys.items()},
        "warnings": None,
    }


def _span(one: ExportedSpan, process: str) -> dict[str, Any]:
    span = one.span
    trace = _short(span.trace)
    tags = [{"key": "span.kind", "type": "string", "value": one.kind}]
    if one.peer:
        tags.append({"key": "peer.service", "type": "string", "value": one.peer})
    failed = [{"key": "error", "type": "bool", "value": True}] if span.error else []
    parent = [{"refType": "CHILD_OF", "traceID": trace, "spanID": span.parent}]
    return {
        "traceID": trace,
        "spanID": span.span,
        "operationName": span.operation,
        "references": parent if span.parent else [],
        "startTime": round(span.at * 1e6),
        "duration": round(span.seconds * 1e6),
        "tags": [*tags, *failed],
        "logs": [],
        "processID": process,
        "warnings": None,
    }


def _short(trace: str) -> str:
    """A trace id of 64 bits has 16 digits, as model.TraceID writes it."""
    return trace[16:] if trace.startswith("0" * 16) else trace


def _otlp(spans: list[ExportedSpan]) -> list[dict[str, Any]]:
    return [
        {
            "resource": {"attributes": [_attribute("service.name", one.span.service)]},
            "scopeSpans": [{"scope": {}, "spans": [_record(one)]}],
        }
        for one in spans
    ]


def _record(one: ExportedSpan) -> dict[str, Any]:
    span = one.span
    return {
        "traceId": span.trace,
        "spanId": span.span,
        "parentSpanId": span.parent,
        "name": span.operation,
        "kind": _KINDS[one.kind],
        "startTimeUnixNano": str(round(span.at * 1e9)),
        "endTimeUnixNano": str(round(span.at * 1e9) + round(span.seconds * 1e9)),
        "attributes": [_attribute("peer.service", one.peer)] if one.peer else [],
        "status": {"code": 2} if span.error else {},
    }


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}
