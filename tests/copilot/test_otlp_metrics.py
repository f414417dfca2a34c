"""Exporters post metrics: every kind of point, both encodings, resets, and what is none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from copilot.ports import SourceError
from copilot.sources.merged import MergedMetrics
from copilot.sources.otlp import points
from copilot.sources.received import ReceivedTelemetry
from copilot.store import Store
from copilot.surfaces.service import create_app
from copilot.testing.service import CountedEngine
from tests.contracts.clocks import Standing
from tests.copilot.test_otlp import Door
from tools.topology_walker.signals import read
from tools.types import Series, Window

NOW = 1_767_225_720.0
WINDOW = Window(start=NOW - 3600, end=NOW)
DELTA, CUMULATIVE = 1, 2


@pytest.fixture
def received() -> ReceivedTelemetry:
    return ReceivedTelemetry(Standing(NOW))


@pytest.fixture
def client(tmp_path: Path, received: ReceivedTelemetry) -> Iterator[TestClient]:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    app = create_app(CountedEngine(store, time=NOW), Door(), received=received)
    yield TestClient(app, base_url="http://127.0.0.1")
    store.close()


def attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def request(name: str, form: str, pod: str = "a", unit: str = "1", **about: Any) -> dict[str, Any]:
    named = [attribute("service.name", "cart"), attribute("service.instance.id", pod)]
    metric = {"name": name, "unit": unit, form: about}
    scope = {"scopeMetrics": [{"metrics": [metric]}]}
    return {"resourceMetrics": [{"resource": {"attributes": named}, **scope}]}


def point(ago: float, **fields: Any) -> dict[str, Any]:
    return {"timeUnixNano": str(int((NOW - ago) * 1e9)), **fields}


def total(values: list[int], pod: str = "a", every: float = 60.0) -> dict[str, Any]:
    """A counter's totals, the last one told now."""
    at = [every * n for n in reversed(range(len(values)))]
    points = [point(ago, asInt=str(value)) for ago, value in zip(at, values, strict=True)]
    about: dict[str, Any] = {
        "isMonotonic": True,
        "aggregationTemporality": CUMULATIVE,
        "dataPoints": points,
    }
    return request("jobs.done", "sum", pod, **about)


def served(
    ago: float, count: int, seconds: float, status: str = "200", **fields: Any
) -> dict[str, Any]:
    status_code = attribute("http.response.status_code", "")
    status_code["value"] = {"intValue": status}
    return point(ago, count=str(count), sum=seconds, attributes=[status_code], **fields)


def told(received: ReceivedTelemetry) -> dict[str, Series]:
    return {one.name: one for one in received.series(WINDOW)}


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_a_gauge_is_told_as_it_is_and_of_several_instances_the_worst(
    client: TestClient, received: ReceivedTelemetry, encoding: str
) -> None:
    for pod, value in (("a", 0.25), ("b", 0.75)):
        sent = request(
            "process.cpu.utilization", "gauge", pod, dataPoints=[point(0, asDouble=value)]
        )
        if encoding == "json":
            assert client.post("/v1/metrics", json=sent).json() == {}
        else:
            body = ParseDict(sent, ExportMetricsServiceRequest()).SerializeToString()
            headers = {"content-type": "application/x-protobuf"}
            answer = client.post("/v1/metrics", content=body, headers=headers)
            parsed = ExportMetricsServiceResponse.FromString(answer.content)
            assert parsed == ExportMetricsServiceResponse()
    (one,) = received.series(WINDOW)
    assert (one.name, list(one.values)) == ("cart|process_cpu_utilization", [0.75])
    assert read(one.metric).family == "cpu"


def test_a_total_becomes_a_rate_over_all_instances(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    client.post("/v1/metrics", json=total([0, 60, 180], "a"))
    client.post("/v1/metrics", json=total([1000, 1060, 1120], "b"))
    assert list(told(received)["cart|jobs_done_rate"].values) == [2.0, 3.0]


def test_a_counter_that_began_anew_is_no_fall(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    client.post("/v1/metrics", json=total([600, 660, 30, 90]))
    assert list(told(received)["cart|jobs_done_rate"].values) == [1.0, 0.5, 1.0]


def test_totals_of_one_stream_go_on_over_requests_and_repeats_count_once(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    for values in ([0, 60], [0, 60], [0, 60, 120]):
        client.post("/v1/metrics", json=total(values))
    assert list(told(received)["cart|jobs_done_rate"].values) == [1.0]


def test_a_delta_is_divided_by_its_own_interval(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    since = {"startTimeUnixNano": point(30)["timeUnixNano"]}
    about: dict[str, Any] = {
        "isMonotonic": True,
        "aggregationTemporality": DELTA,
        "dataPoints": [point(0, asInt="90", **since)],
    }
    client.post("/v1/metrics", json=request("jobs.done", "sum", **about))
    assert list(told(received)["cart|jobs_done_rate"].values) == [3.0]


def test_a_histogram_of_requests_is_rate_errors_and_duration_under_the_names_of_prometheus(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    points = [
        served(60, 100, 10.0),
        served(0, 190, 28.0),
        served(60, 5, 1.0, "503"),
        served(0, 35, 4.0, "503"),
    ]
    about: dict[str, Any] = {"aggregationTemporality": CUMULATIVE, "dataPoints": points}
    sent = request("http.server.request.duration", "histogram", unit="s", **about)
    assert client.post("/v1/metrics", json=sent).json() == {}
    found = told(received)
    assert found["cart|request_rate"].values == pytest.approx([2.0])
    assert found["cart|error_pct"].values == pytest.approx([25.0])
    assert found["cart|latency_avg_ms"].values == pytest.approx([175.0])


def test_rates_of_other_histograms_read_as_traffic_and_not_as_latency(
    client: TestClient, received: ReceivedTelemetry
) -> None:
    points = [
        point(0, count="10", sum=5.0, startTimeUnixNano=point(10)["timeUnixNano"]),
    ]
    about: dict[str, Any] = {"aggregationTemporality": DELTA, "dataPoints": points}
    client.post("/v1/metrics", json=request("db.call.duration", "histogram", unit="s", **about))
    found = told(received)
    assert list(found["cart|db_call_rate"].values) == [1.0]
    assert list(found["cart|db_call_duration_avg"].values) == [500.0]
    assert read("db_call_rate").family == "traffic"
    assert read("db_call_duration_avg").family == "latency"


FALLING = {"isMonotonic": False, "aggregationTemporality": DELTA}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "an exponential without temporality": (
        "exponentialHistogram",
        {"dataPoints": [point(0)]},
        "delta or cumulative",
    ),
    "a summary of less than none": ("summary", {"dataPoints": [point(0, count=-1)]}, "counts -1"),
    "a text": ("gauge", {"dataPoints": [point(0, asDouble="NaN")]}, "no finite value"),
    "endless": ("gauge", {"dataPoints": [point(0, asInt=10**400)]}, "no finite value"),
    "nothing": ("gauge", {"dataPoints": [point(0)]}, "no finite value"),
    "a truth": ("gauge", {"dataPoints": [point(0, asInt=True)]}, "no finite value"),
    "no time": ("gauge", {"dataPoints": [{"asInt": 1}]}, "timeUnixNano is missing"),
    "the future": ("gauge", {"dataPoints": [point(-7200, asInt=1)]}, "sender's clock"),
    "no object": ("gauge", {"dataPoints": [7]}, "no finite value|timeUnixNano"),
    "no temporality": (
        "sum",
        {"isMonotonic": True, "dataPoints": [point(0, asInt=1)]},
        "delta or cumulative",
    ),
    "a delta that may fall": ("sum", FALLING | {"dataPoints": [point(0, asInt=1)]}, "may fall"),
    "less than none": (
        "histogram",
        {"aggregationTemporality": CUMULATIVE, "dataPoints": [point(0, count=-1)]},
        "counts -1",
    ),
}


@pytest.mark.parametrize(("form", "about", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_measurement_is_told_and_the_others_are_taken(
    client: TestClient, received: ReceivedTelemetry, form: str, about: dict[str, Any], said: str
) -> None:
    good = request("depth", "gauge", dataPoints=[point(0, asInt=3)])
    bad = request("odd", form, **about)
    sent = {"resourceMetrics": [*bad["resourceMetrics"], *good["resourceMetrics"]]}
    answer = client.post("/v1/metrics", content=json.dumps(sent), headers=JSON)
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedDataPoints"] == "1"
    assert any(words in partial["errorMessage"] for words in said.split("|"))
    assert list(told(received)) == ["cart|depth"]


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("document", [{"resourceMetrics": None}, {"resourceMetrics": [None, 3]}])
def test_strange_documents_break_nothing(client: TestClient, document: dict[str, Any]) -> None:
    assert client.post("/v1/metrics", json=document).status_code == 200


def test_names_a_sender_invents_take_no_more_room_than_there_is() -> None:
    small = ReceivedTelemetry(Standing(NOW), most_bytes=300_000)
    from_one = [request(f"m{n}", "gauge", dataPoints=[point(n % 60, asInt=n)]) for n in range(2000)]
    for sent in from_one:
        small.take_points(points(sent, NOW).items)
    held = small.held()["metrics"]
    assert held.bytes <= 100_000
    assert held.evicted > 0


def test_prometheus_has_the_first_word_and_its_silence_is_named() -> None:
    ours, theirs = ReceivedTelemetry(Standing(NOW)), ReceivedTelemetry(Standing(NOW))
    both = MergedMetrics(theirs, ours)
    with pytest.raises(SourceError, match="nothing was sent yet"):
        both.series(WINDOW)
    ours.take_points(points(request("up", "gauge", dataPoints=[point(0, asInt=1)]), NOW).items)
    assert [list(one.values) for one in both.series(WINDOW)] == [[1.0]]
    assert "nothing was sent yet" in both.problems()[0]
    theirs.take_points(points(request("up", "gauge", dataPoints=[point(0, asInt=2)]), NOW).items)
    assert [list(one.values) for one in both.series(WINDOW)] == [[2.0]]
    assert both.problems() == ()
