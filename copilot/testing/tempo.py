"""A server that speaks the part of Tempo's HTTP API that reading traces needs, strictly.

Sources: grafana.com/docs/tempo/latest/api_docs and its page "Push spans with HTTP", whose answers
show base64 ids, enumerations by name and trace ids without leading zeros. Errors have the words of
grafana/tempo: pkg/api/http.go, modules/frontend/search_handlers.go and combiner/trace_by_id_v2.go.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer
from copilot.testing.traces import ExportedSpan, by_trace

LONGEST_S = 168 * 3600
_SEARCH = frozenset({"q", "start", "end", "limit", "spss"})
_VALUES = "/api/v2/search/tag/resource.service.name/values"
_TERM = re.compile(
    r'resource\.service\.name = "(?P<service>(?:[^"\\]|\\.)*)"'
    r"|status = (?P<status>error|ok|unset)|duration > (?P<us>\d+)us"
)


class TempoServer(StrictServer):
    """Holds the spans of one tenant; `most` is its `max_result_limit`.

    One that is `old` has no second version of the query by id. A trace of more than `largest` spans
    is above its `max_bytes_per_trace`. A search takes the first traces that it happens to meet.
    """

    name = "Tempo"

    def __init__(
        self,
        exported: Iterable[ExportedSpan],
        *,
        tenant: str = "",
        most: int = 0,
        largest: int = 10_000,
        old: bool = False,
    ) -> None:
        super().__init__()
        self.traces = by_trace(exported)
        self.tenant = tenant
        self.most = most
        self.largest = largest
        self.old = old

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if self.tenant and asked.headers.get("x-scope-orgid") != self.tenant:
            return HttpReply(401, b"no org id\n")
        if asked.method == "GET" and asked.path == "/api/search":
            return self._search(asked)
        if asked.method == "GET" and unquote(asked.path) == _VALUES:
            return self._services(asked)
        for prefix, version in (("/api/v2/traces/", 2), ("/api/traces/", 1)):
            if asked.path.startswith(prefix) and not (self.old and version == 2):
                return self._trace(asked.path.removeprefix(prefix), version)
        return HttpReply(404, b"404 page not found\n")

    def _services(self, asked: ReceivedRequest) -> HttpReply:
        if problem := _range(asked, frozenset({"start", "end", "limit"})):
            return HttpReply(400, problem.encode())
        start, end = int(asked.one("start")), int(asked.one("end"))
        names = {
            one.span.service
            for spans in self.traces.values()
            for one in spans
            if start <= one.span.at <= end
        }
        values = [{"type": "string", "value": name} for name in sorted(names)]
        return HttpReply(200, {"tagValues": values, "metrics": {"inspectedBytes": "502756"}})

    def _search(self, asked: ReceivedRequest) -> HttpReply:
        problem = _range(asked, _SEARCH)
        limit = int(asked.one("limit") or 20)
        if self.most and limit > self.most:
            problem = problem or f"limit {limit} exceeds max limit {self.most}"
        wanted = _filter(asked.one("q"))
        if wanted is None:
            problem = problem or "invalid TraceQL query: parse error at line 1, col 3: syntax error"
        if problem or wanted is None:
            return HttpReply(400, problem.encode())
        start, end = int(asked.one("start")), int(asked.one("end"))
        met = sorted(self.traces, key=lambda trace: sha256(trace.encode()).digest())
        found = [
            _summary(self.traces[trace], [one for one in self.traces[trace] if wanted(one)])
            for trace in met
            if start <= self.traces[trace][0].span.at <= end
            and any(wanted(one) for one in self.traces[trace])
        ]
        metrics = {"inspectedBytes": "292781", "completedJobs": 1, "totalJobs": 1}
        return HttpReply(200, {"traces": found[:limit], "metrics": metrics})

    def _trace(self, wanted: str, version: int) -> HttpReply:
        if not re.fullmatch(r"[0-9a-fA-F]{1,32}", wanted):
            return HttpReply(400, b"trace IDs can only contain hex characters\n")
        spans = self.traces.get(wanted.lower().zfill(32))
        if spans is None:
            return HttpReply(404, b"")
        large = len(spans) > self.largest
        if version == 1:
            if large:
                return HttpReply(422, b"trace exceeds max size (max bytes: 5000000)\n")
            return HttpReply(200, {"batches": _resource_spans(spans)})
        whole: dict[str, Any] = {
            "trace": {"resourceSpans": _resource_spans(spans[: self.largest])},
            "metrics": {},
        }
        if large:
            said = "Trace exceeds maximum size of 5000000 bytes, a partial trace is returned"
            whole |= {"status": "PARTIAL", "message": said}
        return HttpReply(200, whole)


def _range(asked: ReceivedRequest, known: frozenset[str]) -> str:
    """What is wrong with the parameters of a request; '' where nothing is."""
    if unknown := set(asked.query) - known:
        return f"unknown parameters {sorted(unknown)}"
    for name in set(asked.query) - {"q"}:
        if not asked.one(name).isdecimal():
            return f'invalid {name}: strconv.ParseInt: parsing "{asked.one(name)}": invalid syntax'
    start, end = int(asked.one("start") or 0), int(asked.one("end") or 0)
    if end <= start:
        return f"http parameter start must be before end. received start={start} end={end}"
    if end - start > LONGEST_S:
        return f"range specified by start and end exceeds 168h0m0s. received start={start}"
    return ""


def _filter(query: str) -> Callable[[ExportedSpan], bool] | None:
    """A span filter of terms that all hold; None where it is none."""
    if not re.fullmatch(r"\{.*\}", query, re.DOTALL):
        return None
    terms, rest, place = [], query[1:-1].strip(), 0
    while place < len(rest):
        match = _TERM.match(rest, place)
        if match is None:
            return None
        terms.append(match.groupdict())
        place = match.end()
        if rest[place:] and not rest.startswith(" && ", place):
            return None
        place += 4
    return lambda one: all(_holds(term, one) for term in terms)


def _holds(term: dict[str, str | None], one: ExportedSpan) -> bool:
    if term["service"] is not None:
        return one.span.service == re.sub(r"\\(.)", r"\1", term["service"])
    if term["status"] is not None:
        return (term["status"] == "error") == bool(one.span.error)
    return one.span.seconds * 1e6 > int(term["us"] or 0)


def _summary(spans: list[ExportedSpan], matched: list[ExportedSpan]) -> dict[str, Any]:
    root = spans[0].span
    shown = [
        {
            "spanID": one.span.span,
            "startTimeUnixNano": str(round(one.span.at * 1e9)),
            "durationNanos": str(round(one.span.seconds * 1e9)),
        }
        for one in matched[:1]
    ]
    return {
        "traceID": root.trace.lstrip("0"),
        "rootServiceName": root.service,
        "rootTraceName": root.operation,
        "startTimeUnixNano": str(round(root.at * 1e9)),
        "durationMs": round(root.seconds * 1e3),
        "spanSets": [{"spans": shown, "matched": len(matched)}],
    }


def _resource_spans(spans: list[ExportedSpan]) -> list[dict[str, Any]]:
    services = dict.fromkeys(one.span.service for one in spans)
    return [
        {
            "resource": {"attributes": [_attribute("service.name", name)]},
            "scopeSpans": [
                {
                    "scope": {"name": "shop"},
                    "spans": [_record(one) for one in spans if one.span.service == name],
                }
            ],
        }
        for name in services
    ]


def _record(one: ExportedSpan) -> dict[str, Any]:
    span = one.span
    parent = {"parentSpanId": _base64(span.parent)} if span.parent else {}
    return {
        "traceId": _base64(span.trace),
        "spanId": _base64(span.span),
        **parent,
        "name": span.operation,
        "kind": f"SPAN_KIND_{one.kind.upper()}",
        "startTimeUnixNano": str(round(span.at * 1e9)),
        "endTimeUnixNano": str(round(span.at * 1e9) + round(span.seconds * 1e9)),
        "attributes": [_attribute("peer.service", one.peer)] if one.peer else [],
        "status": {"code": "STATUS_CODE_ERROR"} if span.error else {},
    }


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _base64(identifier: str) -> str:
    return b64encode(bytes.fromhex(identifier)).decode()
