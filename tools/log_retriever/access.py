"""Read what an access log says of one request: method, route, status, how long it took.

Forms: common and combined log format with what nginx, ingress-nginx, Apache, Traefik and uvicorn
add, Envoy and Istio, AWS load balancers, HAProxy, IIS (W3C default fields), gin, fiber, morgan,
Serilog and ASP.NET; JSON and logfmt by the names of the fields. Status classes: RFC 9110.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from tools.log_retriever.masks import VARIABLE, mask_token

_METHODS = "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|PROPFIND|REPORT|TRACE"
_METHOD = re.compile(rf"(?:{_METHODS})")
_STATUS = r"[1-5]\d\d"
_PATH = r"(?:https?://|/)[^\s\"]{0,2048}"
_FORMS = tuple(
    map(
        re.compile,
        (
            # AWS: three durations, the balancer's status, the target's, bytes, the request
            r"(?:-1|\d{1,9}\.\d{1,9}) (?P<took>-1|\d{1,9}\.\d{1,9}) (?:-1|\d{1,9}\.\d{1,9}) "
            rf"(?P<status>{_STATUS}) (?:{_STATUS}|-) \d+ \d+ "
            rf"\"(?P<method>[A-Z]+) (?P<path>{_PATH})",
            # HAProxy: TR/Tw/Tc/Tr/Ta, status, bytes, cookies, states, queues, the request
            rf"(?<![\d/])(?:-?\d{{1,9}}/){{4}}\+?(?P<took>\d{{1,9}}) (?P<status>{_STATUS}) "
            rf"\+?\d+ \S+ \S+ \S{{4}} [^\"]{{0,512}}\"(?P<method>[A-Z]+) (?P<path>{_PATH})",
            # common log format and its many heirs
            rf"\"(?P<method>{_METHODS}) (?P<path>{_PATH})(?: HTTP/\d(?:\.\d)?)?\"(?: from \S+ -)? "
            rf"(?P<status>{_STATUS})(?P<rest>(?: .*)?)$",
            # IIS: date, time, server, method, path, query, port, user, client, agent, …, status
            rf"(?:^|\s)(?P<method>{_METHODS}) (?P<path>{_PATH}) \S+ \d{{1,5}} (?:\S+ ){{2,4}}"
            rf"(?P<status>{_STATUS}) \d+ \d+(?: (?P<took>\d+))?$",
            # CloudFront; Squid
            rf"\s(?P<method>{_METHODS})\s+[\w.-]{{1,255}}\s+(?P<path>/\S*)\s+(?P<status>{_STATUS})\s",
            rf"\s(?P<took>\d{{1,9}}) \S+ [A-Z_]{{3,32}}/(?P<status>{_STATUS}) \d+ "
            rf"(?P<method>{_METHODS}) (?P<path>{_PATH})",
            # gin and fiber: columns
            rf"\| +(?P<status>{_STATUS}) \| +(?P<took>[\d.]{{1,16}}\S{{1,2}}) \| +\S+ +\| +"
            rf"(?P<method>{_METHODS}) +(?:\| +)?\"?(?P<path>{_PATH})",
            # morgan, and programs that say the same in their own words
            rf"^(?P<method>{_METHODS}) (?P<path>{_PATH}) (?P<status>{_STATUS})\b"
            r"(?: (?P<took>[\d.]{1,16} ?ms))?(?: (?:\d+|-)(?= |$)){0,3}"
            r"(?: (?P<later>[\d.]{1,16} ?ms)(?= |$))?(?: (?P<message>\S.*))?$",
            # Serilog and ASP.NET
            rf"HTTP(?:/\d(?:\.\d)?)? (?P<method>{_METHODS}) (?P<path>{_PATH}) "
            rf"(?:responded|\S+ \S+ -|-) (?P<status>{_STATUS})\b.{{0,64}}? "
            r"(?P<took>[\d.]{1,16} ?ms)",
        ),
    )
)
_TOOK_LATER = re.compile(
    # named; ingress-nginx; Envoy and Istio; last, behind the last quote
    r"(?:request_time|rt|duration|took)[=:]\"?(?P<named>\d+(?:\.\d+)?)"
    r"|^ \d+ \"[^\"]*\" \"[^\"]*\" \d+ (?P<ingress>\d+\.\d+) \["
    r"|^ (?:-|[A-Z]{2,4}(?:,[A-Z]{2,4})*) (?:\S+ \S+ \"[^\"]*\" )?\d+ \d+ (?P<envoy>\d+) (?:\d+|-) "
    r"|\" (?P<last>\d+(?:\.\d+)?(?:ms|s)?)$"
)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "": 1.0}
"""Source: the prefixes of the SI."""
_DURATION = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s?(ns|us|µs|ms|s|m|)")

_METHOD_KEYS = (
    "method", "requestmethod", "http.method", "httpmethod", "httprequest.requestmethod", "verb",
    "csmethod", "request.method", "req.method", "clientrequestmethod",
)  # fmt: skip
_PATH_KEYS = (
    "http.route", "route", "path", "url.path", "requestpath", "requesturi", "uri", "req.url",
    "request.uri", "http.target", "http.url", "url.full", "requesturl", "url", "csuristem",
    "xenvoyoriginalpath", "resourcepath", "clientrequesturi",
)  # fmt: skip
_STATUS_KEYS = (
    "status", "statuscode", "responsecode", "http.statuscode", "response.statuscode",
    "http.status", "downstreamstatus", "res.statuscode", "scstatus", "response.status",
    "elbstatuscode", "httpstatus", "edgeresponsestatus",
)  # fmt: skip
_TOOK_KEYS = (
    "duration", "latency", "responsetime", "requesttime", "elapsed", "elapsedmilliseconds",
    "durationms", "latencyms", "took", "timetaken", "event.duration",
    "latencies.request", "responselatency",
)  # fmt: skip
_MOST_SEGMENTS, _LONGEST = 8, 64  # source: a route of a program's own is seldom as long


class Request(NamedTuple):
    """One request and its answer; `took` in a unit that its log uses throughout, None: untold.

    `route` is `path` with ids as `VARIABLE`; `message` is what else a program said in the line.
    """

    method: str
    path: str
    route: str
    status: int
    took: float | None
    message: str = ""

    @property
    def told(self) -> str:
        """What a line says of it: `GET /cart/17 504`."""
        return f"{self.method} {self.path} {self.status}"

    @property
    def masked(self) -> str:
        """What is mined of it: ids are variables, the status never is."""
        return f"{self.method} {self.route} {self.status}"

    @property
    def failed(self) -> bool:
        """Whether the server said that it could not answer (5xx)."""
        return self.status >= 500  # RFC 9110, section 15.6

    @property
    def rejected(self) -> bool:
        """Whether the server found the request itself wrong (4xx), or its client left (499)."""
        return 400 <= self.status < 500  # RFC 9110, section 15.5


def may_be_request(text: str) -> bool:
    """Whether a line is worth reading as that of an access log: looking is cheaper than reading."""
    return "HTTP" in text or "GET" in text or "POST" in text or "PUT" in text or "DELETE" in text


def read_request(text: str) -> Request | None:
    """The request that a line of text tells of, None if it tells of none.

    >>> line = '10.0.0.1 - - [01/May/2026:10:00:00 +0000] "GET /cart/17?a=1 HTTP/1.1" 504 0'
    >>> read_request(line).masked.replace(VARIABLE, "<*>")
    'GET /cart/<*> 504'
    """
    for form in _FORMS:
        found = form.search(text)
        if found:
            parts = found.groupdict()
            took = parts.get("took") or parts.get("later") or _later(parts.get("rest") or "")
            request = _request(found["method"], found["path"], found["status"], took)
            return request._replace(message=parts.get("message") or "")
    return None


def request_in(fields: Mapping[str, str]) -> Request | None:
    """The request that the fields of a record tell of, None if they tell of none."""
    status = _first(fields, _STATUS_KEYS)
    if not status:
        return None
    method, path = _first(fields, _METHOD_KEYS).upper(), _first(fields, _PATH_KEYS)
    line = fields.get("request", "").split(" ")
    if not (method and path) and len(line) > 1:
        method, path = line[:2]
    if not (re.fullmatch(_STATUS, status) and _METHOD.fullmatch(method) and re.match(_PATH, path)):
        return None
    return _request(method, path, status, _first(fields, _TOOK_KEYS))


def route_of(path: str) -> str:
    """The path of a request without host, query and ids.

    >>> route_of("https://shop.example/cart/17/items?page=2").replace(VARIABLE, "<*>")
    '/cart/<*>/items'
    """
    segments = _own_path(path).split("/")[1:]
    return "/" + "/".join(map(_without_id, segments[:_MOST_SEGMENTS]))


def _without_id(segment: str) -> str:
    segment = segment[:_LONGEST]
    return VARIABLE if VARIABLE in mask_token(segment) else segment


def _request(method: str, path: str, status: str, took: str) -> Request:
    path = _own_path(path)
    return Request(method, path, route_of(path), int(status), _took(took))


def _own_path(path: str) -> str:
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return re.split(r"[?#;]", path, maxsplit=1)[0]


def _first(fields: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((fields[key] for key in keys if fields.get(key)), "")


def _later(rest: str) -> str:
    found = _TOOK_LATER.search(rest)
    return next(filter(None, found.groups()), "") if found else ""


def _took(text: str) -> float | None:
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _SECONDS[found[2]] if found else None
