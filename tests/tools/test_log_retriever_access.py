"""Access logs: what is read of a request, and what is told when requests fail, or are slow."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tools.log_retriever import Miner, novelty
from tools.log_retriever.access import route_of
from tools.log_retriever.masks import VARIABLE
from tools.types import Finding, LogLine, SplitLog

ONSET = 10_000.0
CLF = '10.0.0.{n} - ann [01/May/2026:10:00:00 +0000] "GET {path} HTTP/1.1" {status} 52'

FORMS = [
    ("common", CLF.format(n=1, path="/cart", status=504), "GET /cart 504", None),
    ("combined", CLF.format(n=1, path="/cart", status=302) + ' "-" "Moz/5 (X)"', "GET /cart 302",
     None),
    ("nginx, request time", CLF.format(n=1, path="/cart", status=504) + ' "-" "curl" 0.250',
     "GET /cart 504", 0.25),
    ("nginx, named time", CLF.format(n=1, path="/cart", status=504) + ' "-" "curl" rt=0.250 ut=1',
     "GET /cart 504", 0.25),
    (
        "ingress-nginx",
        CLF.format(n=1, path="/cart", status=504) + ' "-" "curl" 110 0.041 [shop-web-80] [] '
        "10.0.0.1:80 562 0.01 504 1f0c",
        "GET /cart 504",
        0.041,
    ),
    ("Apache, microseconds", CLF.format(n=1, path="/cart", status=504) + ' "-" "curl" 2500',
     "GET /cart 504", 2500.0),
    (
        "Traefik",
        CLF.format(n=1, path="/cart", status=504) + ' "-" "-" 7 "shop@docker" "http://a:80" 12ms',
        "GET /cart 504",
        0.012,
    ),
    (
        "Envoy",
        '[2026-05-01T10:00:00.123Z] "GET /cart HTTP/2" 504 UT 0 24 15000 - "-" "curl" "1f" "s" "-"',
        "GET /cart 504",
        15000.0,
    ),
    (
        "Istio",
        '[2026-05-01T10:00:00.123Z] "GET /users/17 HTTP/1.1" 503 UF,URX reset{{x}} - "-" 0 91 1203 '
        '- "10.0.0.1" "curl" "req-1" "shop" "10.0.0.2:80"',
        "GET /users/<*> 503",
        1203.0,
    ),
    (
        "AWS application balancer",
        "h2 2026-05-01T10:00:00.1Z app/web/50dc 10.1.1.9:2817 10.0.0.1:80 0.08 0.048 0.037 504 - 0 "
        '57 "GET https://shop.example:443/cart?x=1 HTTP/1.1" "curl" ECDHE TLSv1.2',
        "GET /cart 504",
        0.048,
    ),
    (
        "AWS balancer, no target",
        "http 2026-05-01T10:00:00.1Z app/web/50dc 10.1.1.9:2817 - -1 -1 -1 503 - 0 57 "
        '"GET http://shop.example:80/cart HTTP/1.1" "curl" - -',
        "GET /cart 503",
        None,
    ),
    (
        "HAProxy",
        "May  1 10:00:00 lb haproxy[14]: 10.0.1.2:33 [01/May/2026:10:00:00.655] web app/a "
        '10/0/30/69/109 503 2750 - - ---- 1/1/1/1/0 0/0 {a} {} "GET /cart HTTP/1.1"',
        "GET /cart 503",
        109.0,
    ),
    (
        "IIS",
        "2026-05-01 10:00:00 10.0.0.1 GET /cart id=7 443 - 10.1.1.1 Moz/5.0+(X) - 504 0 0 1203",
        "GET /cart 504",
        1203.0,
    ),
    (
        "CloudFront",
        "2026-05-01\t10:00:00\tLAX1\t392\t192.0.2.1\tGET\td1.cf.example\t/cart\t504\t-\tMoz\t-\t-",
        "GET /cart 504",
        None,
    ),
    ("Squid", "1777629600.123   1203 10.0.0.1 TCP_MISS/504 500 GET http://shop/cart - DIRECT/- -",
     "GET /cart 504", 1203.0),
    ("gin", '[GIN] 2026/05/01 - 10:00:00 | 504 |  1.5s |  10.0.0.1 | GET   "/cart"',
     "GET /cart 504", 1.5),
    ("fiber", "10:00:00 | 504 |   1.5s |   10.0.0.1 | GET     | /cart       | -",
     "GET /cart 504", 1.5),
    ("morgan", "GET /cart/17 504 12.5 ms - 12", "GET /cart/<*> 504", 0.0125),
    ("morgan, tiny", "GET /cart 504 12 - 12.5 ms", "GET /cart 504", 0.0125),
    ("a program's own words", "POST /write 503 1216ms write failed: locked after 2 s",
     "POST /write 503: write failed: locked after <*> s", 1.216),
    ("uvicorn", 'INFO:     10.0.0.1:33 - "GET /cart HTTP/1.1" 500 Internal Server Error',
     "GET /cart 500", None),
    ("werkzeug", '10.0.0.1 - - [01/May/2026 10:00:00] "GET /cart HTTP/1.1" 500 -',
     "GET /cart 500", None),
    ("chi", '2026/05/01 10:00:00 "GET http://shop/cart HTTP/1.1" from 10.0.0.1:1 - 504 12B in 1ms',
     "GET /cart 504", None),
    ("Serilog", "[10:00:00 INF] HTTP GET /cart responded 504 in 250.5 ms", "GET /cart 504", 0.2505),
    ("Heroku", "at=info method=GET path=\"/cart\" host=shop status=503 service=30000ms",
     "GET /cart 503", None),
    ("lograge", "method=GET path=/cart format=html status=500 duration=12.5 view=0.0",
     "GET /cart 500", 12.5),
]  # fmt: skip

RECORDS: list[tuple[str, dict[str, object], str, float | None]] = [
    ("Envoy", {"method": "GET", "path": "/cart?a=1", "response_code": 504, "duration": 15000},
     "GET /cart 504", 15000.0),
    ("Traefik", {"RequestMethod": "GET", "RequestPath": "/cart", "DownstreamStatus": 504,
                 "Duration": 7, "msg": ""}, "GET /cart 504", 7.0),
    ("Caddy", {"level": "info", "msg": "handled request", "duration": 0.5, "status": 200,
               "request": {"method": "GET", "uri": "/cart"}},
     "GET /cart 200: handled request", 0.5),
    ("pino", {"level": 30, "msg": "request completed", "req": {"method": "GET", "url": "/cart"},
              "res": {"statusCode": 504}, "responseTime": 12}, "GET /cart 504: request completed",
     12.0),
    ("nginx", {"request": "GET /cart?a=1 HTTP/1.1", "status": "504", "request_time": "0.5"},
     "GET /cart 504", 0.5),
    ("Kong", {"request": {"method": "GET", "uri": "/cart"}, "response": {"status": 504},
              "latencies": {"request": 7}}, "GET /cart 504", 7.0),
    ("AWS gateway", {"httpMethod": "GET", "resourcePath": "/cart", "status": "504"},
     "GET /cart 504", None),
    ("ECS", {"http.request.method": "GET", "url.path": "/cart", "http.response.status_code": 504},
     "GET /cart 504", None),
    ("Google Cloud", {"severity": "ERROR", "httpRequest": {
        "requestMethod": "GET", "requestUrl": "https://shop/cart/17", "status": 504,
        "latency": "15.0s"}}, "GET /cart/<*> 504", 15.0),
    ("an error with a request", {"level": "error", "msg": "no stock", "method": "GET",
                                 "path": "/cart", "status": 500}, "GET /cart 500: no stock", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "template", "took"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS]
)
def test_a_line_of_an_access_log_keeps_its_status(
    line: str, template: str, took: float | None
) -> None:
    parsed = Miner().add(line)
    assert parsed.template == template
    assert parsed.header.request is not None
    assert parsed.header.request.took == (pytest.approx(took) if took is not None else None)
    assert (parsed.level == "ERROR") == parsed.header.request.failed


@pytest.mark.parametrize(
    ("record", "template", "took"), [row[1:] for row in RECORDS], ids=[row[0] for row in RECORDS]
)
def test_a_record_of_a_request_keeps_its_status(
    record: dict[str, object], template: str, took: float | None
) -> None:
    line = json.dumps(record)
    for wrapped in (line, f"2026-05-01T10:00:00.66Z stdout F {line}", json.dumps({"log": line})):
        parsed = Miner().add(wrapped)
        assert parsed.template == template
        assert parsed.header.request is not None
        assert parsed.header.request.took == took


@pytest.mark.parametrize(
    "line",
    [
        '2026/05/01 10:00:00 [error] 9#9: *1 timed out, request: "GET /cart HTTP/1.1", host: "x"',
        '2026-05-01 10:00:00 ERROR c.a.B: call to "GET /cart HTTP/1.1" 500 failed',
        '10.0.0.1 - - [01/May/2026:10:00:00 +0000] "-" 400 0 "-" "-"',
        "GET ready: 504 items TO POST",
        '{"method": "Cart.get", "path": "/cart", "status": 504, "msg": "no stock"}',
        '{"method": "GET", "path": "/cart", "status": "pending", "msg": "no stock"}',
        "HTTP " * 2_000,
        '"GET /' + "a/" * 5_000,
        "0.1 " * 2_000 + "HTTP",
        "1/" * 3_000 + "HTTP",
        "| " * 3_000 + "GET",
    ],
)
def test_what_is_no_answered_request_is_an_ordinary_line(line: str) -> None:
    assert Miner().add(line).header.request is None


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/api/v1/orders/17/items", "/api/v1/orders/<*>/items"),
        ("/orders/1f0c6a2e-5c1d-4b7e-9a53-0123456789ab?x=1#top", "/orders/<*>"),
        ("https://shop.example:8443/cart;jsessionid=17", "/cart"),
        ("/users/ann@example.org", "/users/<*>"),
        ("/static/app.3f9c2b1a.js", "/static/<*>"),
        ("/shop.v1.Cart/Add", "/shop.v1.Cart/Add"),
        ("/" + "a/" * 40, "/a/a/a/a/a/a/a/a"),
    ],
)
def test_a_route_has_no_ids(path: str, route: str) -> None:
    assert route_of(path).replace(VARIABLE, "<*>") == route


Answer = Callable[[int], tuple[str, int, float]]


def served(answer: Answer, start: float, end: float, service: str = "web") -> list[LogLine]:
    """One request a second; `answer` tells path, status and seconds of the nth."""
    lines = []
    for n in range(int(end - start)):
        path, status, took = answer(n)
        text = CLF.format(n=n % 200, path=path, status=status) + f' "-" "curl" {took:.3f}'
        lines.append(LogLine(start + n, service, "", text))
    return lines


def usual(n: int) -> tuple[str, int, float]:
    """Every fiftieth fails, whichever the route."""
    return ("/cart", "/orders/17")[n % 2], 502 if n % 50 == 0 else 200, 0.05 + n % 7 / 100


OTHER = ("/orders/17", 200, 0.05)


def changed(answer: Answer, before: Answer = usual) -> list[Finding]:
    lines = served(before, ONSET - 600, ONSET) + served(answer, ONSET, ONSET + 120)
    return novelty(SplitLog(tuple(lines), ONSET))


def test_nothing_is_told_where_requests_fail_as_often_as_before() -> None:
    assert changed(usual) == []


def test_a_rise_of_server_errors_is_told_per_route_like_an_error_line() -> None:
    (found,) = changed(lambda n: ("/cart", 504, 0.05) if n % 2 else OTHER)
    assert (found.kind, found.name, found.subject) == ("log", "requests_failed", "web")
    assert (found.direction, found.unit) == ("up", "requests/min")
    assert found.figures["share_after"] == 1.0
    assert found.figures["share_before"] == pytest.approx(0.0, abs=0.05)
    assert found.figures["statistic"] > 5
    assert found.figures["p_value"] < 1e-6
    assert found.figures["alarming"] == 1.0
    assert found.value == pytest.approx(30, rel=0.05)
    assert found.onset == ONSET + 1
    assert 'web answered 5xx to 60 of 60 requests of "GET /cart" (504)' in found.statement
    assert "504" in found.excerpt


def test_one_route_with_ids_is_one_route() -> None:
    (found,) = changed(lambda n: (f"/orders/{n}", 500, 0.05) if n % 2 else OTHER)
    assert '"GET /orders/<*>"' in found.statement


def test_rejected_requests_are_no_alarm_of_the_service() -> None:
    (found,) = changed(lambda n: ("/cart", 429, 0.01) if n % 2 else OTHER)
    assert (found.name, found.figures["alarming"]) == ("requests_rejected", 0.0)
    assert "(429)" in found.statement


def test_slow_requests_are_told_against_what_was_usual() -> None:
    (found,) = changed(lambda n: ("/cart", 200, 2.0) if n % 2 else OTHER)
    assert (found.name, found.figures["calm"]) == ("requests_slow", 1.0)
    assert found.figures["limit"] == pytest.approx(0.11, abs=0.005)
    assert "60 of 60" in found.statement


def test_more_requests_alone_are_no_more_failures() -> None:
    lines = served(usual, ONSET - 600, ONSET)
    lines += [replace(one, at=ONSET + one.at / 10) for one in served(usual, 0, 1200)]
    assert not [
        one for one in novelty(SplitLog(tuple(lines), ONSET)) if one.name.startswith("requests_")
    ]


def test_many_failing_routes_are_told_as_one() -> None:
    paths = [f"/{name}" for name in "abcdefghij"]
    (found,) = changed(lambda n: (paths[n % 10], 503, 0.05), lambda n: (paths[n % 10], 200, 0.05))
    assert "requests of any route (503)" in found.statement


def test_names_that_are_too_many_are_values_of_one_route() -> None:
    def product(status: int) -> Answer:
        return lambda n: ("/product/" + "abcdefghijklmnopqrstuvwxyz"[n % 26] * 3, status, 0.05)

    (found,) = changed(product(500), product(200))
    assert '"GET /product/<*>"' in found.statement


def test_a_route_not_asked_for_before_is_compared_with_the_others() -> None:
    (found,) = changed(lambda n: ("/new", 500, 0.05) if n % 4 == 0 else usual(n + 1))
    assert '"GET /new"' in found.statement
    assert found.figures["requests_before"] == 600


def test_a_first_failure_of_a_quiet_service_is_told_though_chance_could_explain_it() -> None:
    lines = served(lambda n: ("/cart", 200, 0.05), ONSET - 4, ONSET)
    (found,) = novelty(
        SplitLog(tuple([*lines, *served(lambda n: ("/cart", 503, 0.05), ONSET, ONSET + 1)]), ONSET)
    )
    assert (found.name, found.figures["after"]) == ("requests_failed", 1)
    assert found.figures["p_value"] > 0.01


def test_without_an_earlier_log_failing_requests_are_told_weakly() -> None:
    lines = served(lambda n: ("/cart", 500 if n % 2 else 200, 0.05), ONSET, ONSET + 20)
    (found,) = novelty(SplitLog(tuple(lines), ONSET))
    assert (found.name, found.baseline, found.strength) == ("requests_failed", None, 0.1)
    assert "no earlier log" in found.statement


def test_the_order_of_the_lines_does_not_matter() -> None:
    lines = served(usual, ONSET - 600, ONSET)
    lines += served(lambda n: ("/cart", 504, 0.05), ONSET, ONSET + 120)
    told = [one.statement for one in novelty(SplitLog(tuple(lines), ONSET))]
    assert told
    assert told == [one.statement for one in novelty(SplitLog(tuple(lines[::-1]), ONSET))]
