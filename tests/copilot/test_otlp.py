"""Exporters post spans and log lines: both encodings, partly wrong ones, and more than fits."""

import gzip
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from pydantic import SecretStr

from copilot.sources.received import ReceivedTelemetry, Rings
from copilot.sources.received.rings import RingEntry
from copilot.store import Store
from copilot.surfaces.service import create_app
from copilot.testing.service import CountedEngine
from tools.types import Edge, LogLine, Window

NOW = 1_767_225_700.0
WINDOW = Window(start=NOW - 3600, end=NOW)
TRACE = "5b8efff798038103d269b633813fc60c"


@dataclass(frozen=True)
class Door:
    api_key: SecretStr | None = None
    max_body_bytes: int = 100_000
    max_alerts: int = 100


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[CountedEngine]:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    yield CountedEngine(store, time=NOW)
    store.close()


@dataclass
class Now:
    def now(self) -> float:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@pytest.fixture
def received() -> ReceivedTelemetry:
    return ReceivedTelemetry(Now())


@pytest.fixture
def client(engine: CountedEngine, received: ReceivedTelemetry) -> TestClient:
    app = create_app(engine, Door(), received=received)
    return TestClient(app, base_url="http://127.0.0.1")


def nanos(ago: float) -> str:
    return str(int((NOW - ago) * 1e9))


def span(name: str, number: str, parent: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": number * 16,
        "parentSpanId": parent * 16,
        "name": name,
        "kind": 2,
        "startTimeUnixNano": nanos(60),
        "endTimeUnixNano": nanos(59.75),
        "attributes": [],
        **fields,
    }


def resource(service: str) -> dict[str, Any]:
    return {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}


def traces(**spans: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {"resource": resource(service), "scopeSpans": [{"scope": {}, "spans": listed}]}
            for service, listed in spans.items()
        ]
    }


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    scope = {"scopeLogs": [{"logRecords": list(records)}]}
    return {"resourceLogs": [{"resource": resource("cart"), **scope}]}


def attribute(name: str, text: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": text}}


def in_protobuf(document: dict[str, Any], kind: Any) -> bytes:
    """The same request in protobuf, whose JSON has ids in base64 and not in hexadecimal."""
    text = json.dumps(document)
    for number in "123":
        text = text.replace(f'"{number * 16}"', f'"{_base64(number * 16)}"')
    text = text.replace(f'"{TRACE}"', f'"{_base64(TRACE)}"')
    message: bytes = ParseDict(json.loads(text), kind()).SerializeToString()
    return message


def _base64(hexadecimal: str) -> str:
    return b64encode(bytes.fromhex(hexadecimal)).decode()


SHOP = traces(
    web=[
        span("GET /", "1"),
        span(
            "call bank",
            "3",
            "1",
            kind=3,
            attributes=[{"key": "peer.service", "value": {"stringValue": "bank"}}],
        ),
    ],
    cart=[span("POST /add", "2", "1", status={"code": 2})],
)
EXPECTED_EDGES = {("web", "cart"), ("web", "bank")}


def test_enumerations_are_read_by_name_too(client: TestClient, received: ReceivedTelemetry) -> None:
    peer = [{"key": "peer.service", "value": {"stringValue": "bank"}}]
    call = span("pay", "3", kind="SPAN_KIND_CLIENT", attributes=peer)
    kept = span("hold", "4", kind="SPAN_KIND_SERVER", attributes=peer)
    named = {"status": {"code": "STATUS_CODE_ERROR"}}
    fine = {"status": {"code": "STATUS_CODE_OK"}}
    client.post("/v1/traces", json=traces(cart=[call | named], web=[kept | fine]))
    assert {one.operation: one.error for one in received.spans(WINDOW)} == {
        "pay": True,
        "hold": False,
    }
    assert {(e.caller, e.callee) for e in received.topology().edges} == {("cart", "bank")}


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_spans_are_told_and_make_the_graph(
    client: TestClient, received: ReceivedTelemetry, encoding: str
) -> None:
    if encoding == "json":
        answer = client.post("/v1/traces", json=SHOP)
        assert answer.json() == {}
    else:
        body = in_protobuf(SHOP, ExportTraceServiceRequest)
        answer = client.post(
            "/v1/traces", content=body, headers={"content-type": "application/x-protobuf"}
        )
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert ExportTraceServiceResponse.FromString(answer.content) == ExportTraceServiceResponse()
    assert answer.status_code == 200
    found = {one.operation: one for one in received.spans(WINDOW)}
    told = found["POST /add"]
    assert (told.trace, told.span, told.parent) == (TRACE, "2" * 16, "1" * 16)
    assert (told.service, told.error) == ("cart", True)
    assert told.at == pytest.approx(NOW - 60)
    assert told.seconds == pytest.approx(0.25)
    assert found["GET /"].error is False
    graph = received.topology()
    assert {(edge.caller, edge.callee) for edge in graph.edges} == EXPECTED_EDGES
    assert graph.nodes == ("cart", "web")
    assert graph.entry == "web"


def test_a_child_may_come_before_its_parent(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    client.post("/v1/traces", json=traces(cart=[span("POST /add", "2", "1")]))
    assert received.topology().edges == ()
    client.post("/v1/traces", json=traces(web=[span("GET /", "1")]))
    assert received.topology().edges == (Edge(caller="web", callee="cart", source="traces"),)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            {"severityText": "ERROR", "body": {"stringValue": "no stock"}, "traceId": TRACE},
            LogLine(NOW - 60, "cart", "ERROR", "no stock", TRACE),
        ),
        (
            {"severityNumber": 14, "body": {"intValue": "7"}},
            LogLine(NOW - 60, "cart", "WARN", "7"),
        ),
        (
            {"body": {"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}}},
            LogLine(NOW - 60, "cart", "", '{"a": true}'),
        ),
        (
            {
                "body": {
                    "kvlistValue": {
                        "values": [
                            {"key": "Message", "value": {"stringValue": "no"}},
                            {
                                "key": "tags",
                                "value": {"arrayValue": {"values": [{"intValue": "7"}]}},
                            },
                        ]
                    }
                }
            },
            LogLine(NOW - 60, "cart", "", '{"Message": "no", "tags": [7]}'),
        ),
        (
            {
                "body": {"stringValue": "order failed"},
                "attributes": [
                    attribute("exception.type", "shop.StoreError"),
                    attribute("exception.message", "no row"),
                    attribute("log.file.path", "/var/log/cart.log"),
                    attribute("logtag", "P"),
                ],
            },
            LogLine(
                NOW - 60,
                "cart",
                "",
                "order failed\nshop.StoreError: no row",
                stream="/var/log/cart.log",
                cut=True,
            ),
        ),
        (
            {
                "body": {"stringValue": "failed"},
                "attributes": [
                    attribute("exception.message", "no row"),
                    attribute("exception.stacktrace", "a.XError: no row\n\tat a.B(C.java:1)"),
                ],
            },
            LogLine(NOW - 60, "cart", "", "failed\na.XError: no row\n\tat a.B(C.java:1)"),
        ),
        ({}, LogLine(NOW - 60, "cart", "", "")),
    ],
)
def test_log_records_become_lines(
    client: TestClient, received: ReceivedTelemetry, record: dict[str, Any], line: LogLine
) -> None:
    sent = logs({"observedTimeUnixNano": nanos(60), **record})
    assert client.post("/v1/logs", json=sent).json() == {}
    assert received.lines(WINDOW).lines == (line,)


def test_log_records_in_protobuf_are_the_same(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    sent = logs({"timeUnixNano": nanos(60), "severityNumber": 17, "body": {"stringValue": "x"}})
    body = gzip.compress(in_protobuf(sent, ExportLogsServiceRequest))
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    assert client.post("/v1/logs", content=body, headers=headers).status_code == 200
    assert received.lines(WINDOW).lines == (LogLine(NOW - 60, "cart", "ERROR", "x"),)


def test_pods_and_containers_of_a_service_are_streams_of_their_own(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    record = {"timeUnixNano": nanos(60), "body": {"stringValue": "x"}}
    for pod in ("cart-1", "cart-2"):
        sent = logs(record)
        named = (attribute("k8s.pod.name", pod), attribute("k8s.container.name", "app"))
        sent["resourceLogs"][0]["resource"]["attributes"] += named
        assert client.post("/v1/logs", json=sent).status_code == 200
    assert {line.stream for line in received.lines(WINDOW)} == {"cart-1 app", "cart-2 app"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no ids": ({"traceId": "", "spanId": "2" * 16}, "no traceId"),
    "an id that is none": ({"traceId": "hello"}, "no id of 16 bytes"),
    "ends before it begins": ({"endTimeUnixNano": nanos(70)}, "takes -10"),
    "takes days": ({"startTimeUnixNano": nanos(90_000)}, "takes 8"),
    "no time": ({"startTimeUnixNano": None}, "startTimeUnixNano is missing"),
    "a time that is none": ({"startTimeUnixNano": "soon"}, "startTimeUnixNano is missing"),
    "of the future": (
        {"startTimeUnixNano": nanos(-7200), "endTimeUnixNano": nanos(-7200)},
        "check the sender's clock",
    ),
    "no object": ({"traceId": ["x"]}, "no traceId"),
}


@pytest.mark.parametrize(("fields", "said"), WRONG.values(), ids=WRONG)
def test_a_record_that_is_wrong_is_told_and_the_others_are_taken(
    client: TestClient, received: ReceivedTelemetry, fields: dict[str, Any], said: str
) -> None:
    sent = traces(web=[span("good", "1"), span("bad", "2") | fields])
    answer = client.post("/v1/traces", json=sent)
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert said in partial["errorMessage"]
    assert [one.operation for one in received.spans(WINDOW)] == ["good"]


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff\xff", "application/x-protobuf", 400),
        (b"{}", "text/plain", 415),
        (b"x" * 200_000, "application/x-protobuf", 413),
    ],
)
def test_what_is_no_request_is_refused(
    client: TestClient, body: bytes, media: str, status: int
) -> None:
    answer = client.post("/v1/traces", content=body, headers={"content-type": media})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "document",
    [
        {"resourceSpans": None},
        {"resourceSpans": [None, 3, {"scopeSpans": "x"}, {"scopeSpans": [{"spans": [None, 1]}]}]},
        {"resourceSpans": [{"resource": {"attributes": [{"key": 3}]}, "scopeSpans": [{}]}]},
    ],
)
def test_strange_documents_break_nothing(client: TestClient, document: dict[str, Any]) -> None:
    assert client.post("/v1/traces", json=document).status_code == 200


def test_protobuf_is_read_where_exporters_post_and_nowhere_else(client: TestClient) -> None:
    headers = {"content-type": "application/x-protobuf"}
    assert client.post("/changes", content=b"", headers=headers).status_code == 415


def test_a_source_that_nobody_ever_filled_says_so(received: ReceivedTelemetry) -> None:
    telling = "nothing was sent yet"
    with pytest.raises(Exception, match=telling):
        received.spans(WINDOW)
    with pytest.raises(Exception, match=telling):
        received.lines(WINDOW)


def test_who_takes_most_room_makes_place_for_the_others() -> None:
    rings: Rings[str] = Rings(10_000, 3600)
    rings.take((RingEntry(NOW - n, "loud", f"{n}", 100) for n in range(500, 0, -1)), NOW)
    rings.take((RingEntry(NOW - n, "quiet", f"q{n}", 100) for n in range(20)), NOW)
    rings.take((RingEntry(NOW, "loud", "last", 100) for _ in range(200)), NOW)
    held = rings.held()
    assert held.bytes <= 10_000
    assert held.taken == 720
    assert held.evicted == 720 - held.records
    kept = rings.between(WINDOW)
    assert sum(one.startswith("q") for one in kept) == 20
    assert "last" in kept


def test_what_is_too_old_is_let_go() -> None:
    rings: Rings[str] = Rings(10_000, 600)
    rings.take([RingEntry(NOW - 700, "cart", "old", 10), RingEntry(NOW, "cart", "new", 10)], NOW)
    assert rings.between(WINDOW) == ("new",)
    rings.take([], NOW + 700)
    assert rings.held().records == 0
    assert rings.held().expired == 2


def test_names_that_a_sender_invents_share_one_ring() -> None:
    rings: Rings[int] = Rings(10**6, 600)
    rings.take((RingEntry(NOW, f"s{n}", n, 1) for n in range(5000)), NOW)
    assert rings.held().records == 5000
    assert len(rings._rings) <= 2001


def test_what_is_held_is_in_the_metrics(client: TestClient) -> None:
    client.post("/v1/traces", json=SHOP)
    text = client.get("/metrics").text
    assert 'copilot_received_records{signal="traces"} 3.0' in text
    assert 'copilot_received_evicted_total{signal="logs"} 0.0' in text
