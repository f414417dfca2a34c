"""Histograms of both kinds and summaries by OTLP: quantiles, resets, scales, and what is none."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from copilot.sources.otlp import decoded, points
from copilot.sources.received import DataPoint, ReceivedTelemetry
from copilot.sources.received.buckets import added, quantiles
from tests.contracts.clocks import Standing
from tools.types import Series, Window

NOW = 1_767_225_720.0
WINDOW = Window(start=NOW - 3600, end=NOW)
SERVED = "http.server.request.duration"

Fields = dict[str, Any]


def request(form: str, told: Sequence[Fields], name: str = SERVED, unit: str = "s") -> Fields:
    about: Fields = {"dataPoints": list(told)}
    if form != "summary":
        about["aggregationTemporality"] = 2
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "till"}}]}
    metric = {"name": name, "unit": unit, form: about}
    scopes = [{"metrics": [metric]}]
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": scopes}]}


def at(ago: float, **fields: Any) -> Fields:
    start = {"startTimeUnixNano": str(round((NOW - 9000) * 1e9))}
    return start | {"timeUnixNano": str(round((NOW - ago) * 1e9))} | fields


def read(*documents: Fields) -> dict[str, Series]:
    received = ReceivedTelemetry(Standing(NOW))
    received.take_points([DataPoint(NOW, "till", "drawers", "", "", 1.0)])
    for document in documents:
        wire = ParseDict(document, ExportMetricsServiceRequest()).SerializeToString()
        taken = points(decoded(wire, "metrics", "application/x-protobuf"), NOW)
        assert not taken.rejected, taken.reason
        received.take_points(taken.items)
    return {one.metric: one for one in received.series(WINDOW)}


def last(found: dict[str, Series], metric: str) -> float:
    return float(found[metric].values[-1])


def exponential(ago: float, counts: Sequence[int], scale: int = 0, offset: int = 0) -> Fields:
    positive = {"offset": offset, "bucketCounts": list(counts)}
    return at(ago, count=sum(counts), sum=0.25 * sum(counts), scale=scale, positive=positive)


def explicit(ago: float, counts: Sequence[int], bounds: Sequence[float]) -> Fields:
    held = {"bucketCounts": list(counts), "explicitBounds": list(bounds)}
    return at(ago, count=sum(counts), sum=0.25 * sum(counts), **held)


def test_explicit_buckets_have_the_quantiles_that_prometheus_would_tell() -> None:
    told = [explicit(60, (10, 10, 10), (0.1, 0.5)), explicit(0, (50, 60, 20), (0.1, 0.5))]
    found = read(request("histogram", told))
    assert last(found, "request_rate") == pytest.approx(100 / 60)
    assert last(found, "latency_avg_ms") == pytest.approx(250)
    # 40 below 0.1 s, 50 more below 0.5 s: the 50th of 100 lies a fifth into the second bucket.
    assert last(found, "latency_p50_ms") == pytest.approx(180)
    # The 95th lies above the last bound, which is all that is known of it.
    assert last(found, "latency_p95_ms") == pytest.approx(500)


def test_exponential_buckets_have_quantiles_rate_and_mean() -> None:
    # Scale 0: (1, 2], (2, 4], (4, 8].
    told = [exponential(60, (5, 5, 5)), exponential(0, (55, 45, 15))]
    found = read(request("exponentialHistogram", told))
    assert last(found, "request_rate") == pytest.approx(100 / 60)
    assert last(found, "latency_avg_ms") == pytest.approx(250)
    assert last(found, "latency_p50_ms") == pytest.approx(2000)
    assert last(found, "latency_p95_ms") == pytest.approx(6000)


def test_a_histogram_that_halves_its_resolution_loses_nothing() -> None:
    fine = exponential(60, (8, 8, 8, 8), scale=1, offset=0)
    coarse = exponential(0, (16 + 90, 16 + 10), scale=0, offset=0)
    found = read(request("exponentialHistogram", [fine, coarse]))
    assert last(found, "request_rate") == pytest.approx(100 / 60)
    assert last(found, "latency_p95_ms") == pytest.approx(3000)


def test_zeroes_and_values_below_them_are_counted() -> None:
    def told(ago: float, times: int) -> Fields:
        sides = {"positive": {"offset": 0, "bucketCounts": [5 * times]}, "zeroCount": 90 * times}
        return at(ago, count=100 * times, negative={"bucketCounts": [5 * times]}, **sides)

    found = read(request("exponentialHistogram", [told(60, 1), told(0, 2)], "drift", ""))
    assert last(found, "drift_p95") == pytest.approx(0.0, abs=1e-9)
    assert last(found, "drift_rate") == pytest.approx(100 / 60)


def test_instances_with_other_buckets_make_one_quantile() -> None:
    narrow = [explicit(60, (0, 0, 0), (0.1, 0.2)), explicit(0, (90, 0, 0), (0.1, 0.2))]
    other = {"attributes": [{"key": "worker", "value": {"stringValue": "b"}}]}
    wide = [exponential(60, (0,)) | other, exponential(0, (10,)) | other]
    found = read(request("histogram", narrow), request("exponentialHistogram", wide))
    assert last(found, "request_rate") == pytest.approx(100 / 60)
    assert last(found, "latency_p95_ms") == pytest.approx(1500)


def test_a_restart_has_the_quantile_of_what_came_since() -> None:
    before = [explicit(60, (900, 0, 0), (0.1, 1)), explicit(30, (990, 0, 0), (0.1, 1))]
    after = explicit(0, (0, 40, 0), (0.1, 1)) | {"startTimeUnixNano": str(round((NOW - 20) * 1e9))}
    found = read(request("histogram", [*before, after]))
    assert list(found["request_rate"].values) == pytest.approx([3.0, 2.0])
    assert last(found, "latency_p50_ms") == pytest.approx(550)


def test_a_summary_tells_its_own_quantiles_of_which_the_worst_is_told() -> None:
    def told(ago: float, count: int, p95: float, pod: str) -> Fields:
        values = [{"quantile": 0.5, "value": 0.1}, {"quantile": 0.95, "value": p95}]
        key = [{"key": "worker", "value": {"stringValue": pod}}]
        return at(ago, count=count, sum=0.2 * count, quantileValues=values, attributes=key)

    sent = [told(60, 0, 1, "a"), told(60, 0, 2, "b"), told(0, 60, 1, "a"), told(0, 60, 2, "b")]
    found = read(request("summary", sent))
    assert last(found, "request_rate") == pytest.approx(2)
    assert last(found, "latency_avg_ms") == pytest.approx(200)
    assert last(found, "latency_p95_ms") == pytest.approx(2000)
    assert last(found, "latency_p50_ms") == pytest.approx(100)


@pytest.mark.parametrize(("unit", "p95"), [("s", 950), ("ms", 0.95), ("us", 0.00095), ("By", 0.95)])
def test_units_of_time_are_told_in_milliseconds(unit: str, p95: float) -> None:
    told = [explicit(60, (0, 0), (1,)), explicit(0, (100, 0), (1,))]
    found = read(request("histogram", told, "wait", unit))
    assert last(found, "wait_p95") == pytest.approx(p95)
    assert found["wait_p95"].unit == ("" if unit == "By" else "ms")


FAILED: dict[str, tuple[str, Fields, float]] = {
    "500": ("http.response.status_code", {"intValue": 500}, 100),
    "404": ("http.response.status_code", {"intValue": 404}, 0),
    "old name": ("http.status_code", {"intValue": 503}, 100),
    "gRPC internal": ("rpc.grpc.status_code", {"intValue": 13}, 100),
    "gRPC not found": ("rpc.grpc.status_code", {"intValue": 5}, 0),
    "no answer at all": ("error.type", {"stringValue": "timeout"}, 100),
}


@pytest.mark.parametrize(("key", "value", "pct"), FAILED.values(), ids=FAILED)
def test_who_is_to_blame_is_read_from_the_conventions(key: str, value: Fields, pct: float) -> None:
    labels = [{"key": key, "value": value}]
    told = [at(60, count=0, attributes=labels), at(0, count=60, attributes=labels)]
    for name in (SERVED, "http.server.duration", "rpc.server.duration", "rpc.server.call.duration"):
        assert last(read(request("histogram", told, name)), "error_pct") == pct


NOT_READ: dict[str, Fields] = {
    "a scale beyond all": exponential(0, (60,), scale=400),
    "a scale below all": exponential(0, (60,), scale=-400),
    "an offset beyond all": exponential(0, (60,), scale=20, offset=2_000_000_000),
    "buckets without end": exponential(0, [1] * 5000),
}


@pytest.mark.parametrize("told", NOT_READ.values(), ids=NOT_READ)
def test_buckets_of_no_use_leave_rate_and_mean(told: Fields) -> None:
    found = read(request("exponentialHistogram", [exponential(60, ()), told]))
    assert last(found, "request_rate") > 0
    assert last(found, "latency_avg_ms") == pytest.approx(250)


REFUSED: dict[str, tuple[str, Fields, str]] = {
    "too few buckets": ("histogram", explicit(0, (1, 2), (0.1, 0.5)), "2 buckets between 2 bounds"),
    "bounds that fall": (
        "histogram",
        explicit(0, (1, 2, 3), (0.5, 0.1)),
        "bounds that do not rise",
    ),
    "a bound that is none": (
        "histogram",
        explicit(0, (1, 2), ()) | {"explicitBounds": ["NaN"]},
        "no finite number",
    ),
    "less than nothing": ("histogram", explicit(0, (3, -2), (1,)), "less than nothing"),
    "a sum that is none": ("histogram", at(0, count=3, sum="NaN"), "no finite value"),
    "a text for a bucket": (
        "exponentialHistogram",
        exponential(0, ()) | {"positive": {"bucketCounts": ["x"]}},
        "no number",
    ),
}


@pytest.mark.parametrize(("form", "told", "said"), REFUSED.values(), ids=REFUSED)
def test_a_point_that_cannot_be_read_whole_is_refused_whole(
    form: str, told: Fields, said: str
) -> None:
    read = points(json.loads(json.dumps(request(form, [told]))), NOW)
    assert (read.items, read.rejected) == ((), 1)
    assert said in read.reason


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=60), st.sampled_from([0.5, 0.95]))
def test_a_quantile_lies_in_the_bucket_of_the_observation(
    values: list[float], share: float
) -> None:
    places = np.floor(np.log2(values))
    parts = np.column_stack([2.0**places, 2.0 ** (places + 1), np.ones(len(values))])
    (found,) = quantiles(parts, np.zeros(len(values), dtype=np.int64), share)
    exact = sorted(values)[int(np.ceil(share * len(values) - 1e-9)) - 1]
    assert exact / 2.01 <= found <= exact * 2.01


def test_ten_thousand_streams_with_bounds_of_their_own_are_still_one_answer() -> None:
    bounds = np.geomspace(0.001, 100, 10_000)
    parts = np.column_stack([bounds, bounds * 1.01, np.ones(bounds.size)])
    (found,) = quantiles(parts, np.zeros(bounds.size, dtype=np.int64), 0.5)
    assert found == pytest.approx(np.sqrt(0.001 * 100), rel=0.1)


def test_what_was_added_is_never_less_than_nothing() -> None:
    before = np.array([[0.0, 1.0, 50.0], [1.0, 2.0, 10.0]])
    now = np.array([[0.0, 1.0, 40.0], [1.0, 2.0, 30.0], [2.0, 4.0, 1.0]])
    assert added(now, before).tolist() == [[1.0, 2.0, 20.0], [2.0, 4.0, 1.0]]


def test_the_doctor_is_told_who_posts_requests_and_who_does_not() -> None:
    received = ReceivedTelemetry(Standing(NOW))
    received.take_points([DataPoint(NOW - 5, "depot", "jobs_done_rate", "/s", "", 1.0)])
    _, missing = received.checks()
    assert (missing.state, "depot" in missing.found) == ("missing", True)
    told = [explicit(65, (0, 0), (1,)), explicit(5, (100, 0), (1,))]
    received.take_points(points(request("histogram", told), NOW).items)
    _, found = received.checks()
    assert (found.state, found.found) == ("ok", "measured of 1 service: till")
    assert found.advice == "not measured of: depot"
