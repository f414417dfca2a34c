"""Native histograms, scraped by a real Prometheus, beside classic ones of other services."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, start_http_server

from copilot.sources.clock import SystemClock
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus import PrometheusClient, PrometheusSource, queries
from copilot.testing import native_histograms, servers
from copilot.testing.native_histograms import NativeHistogram
from tests.contracts.test_prometheus_live import eventually
from tools.types import Series, Window

SERVED = "http_server_request_duration_seconds"


@pytest.mark.skipif(
    servers.PROMETHEUS is None, reason="prometheus is not installed (apt-get install prometheus)"
)
def test_a_histogram_that_is_only_native_has_rate_errors_and_duration(tmp_path: Path) -> None:
    # Number 3 of schema 0 is (4 s, 8 s].
    fine = NativeHistogram(SERVED, {"status": "200"}, {2: 0, 3: 0})
    failed = NativeHistogram(SERVED, {"status": "503"}, {3: 0})
    registry = CollectorRegistry()
    classic = Histogram(SERVED, "Served.", ["status"], registry=registry)
    classic.labels("200").observe(0.02)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    flags = ["--enable-feature=native-histograms"]
    with native_histograms.exporter([fine, failed]) as native:
        targets = {native: {"service": "vault"}, f"127.0.0.1:{server.server_port}": {"app": "old"}}
        with servers.prometheus(tmp_path / "p", targets, every_s=1.0, flags=flags) as url:
            api = JsonApi("Prometheus", ApiEndpoint(url))
            client = PrometheusClient(api)
            source = PrometheusSource(client, queries(), SystemClock())
            both = {SERVED, f"{SERVED}_count"}
            eventually(lambda: client.names(time.time() - 60, time.time()) >= both)

            def served() -> dict[str, float]:
                fine.counts[2] += 5
                fine.counts[3] += 1
                failed.counts[3] += 2
                fine.total += 20.0
                classic.labels("200").observe(0.02)
                now = time.time()
                return last(source.series(Window(start=now - 8, end=now)))

            eventually(has(served, "vault|latency_p95_ms", "old|latency_p95_ms"))
            found = served()
            assert found["vault|error_pct"] == pytest.approx(25.0, abs=1.0)
            assert 4000 < found["vault|latency_p95_ms"] <= 8000
            assert 2000 < found["vault|latency_p50_ms"] <= 4000
            assert found["vault|latency_avg_ms"] == pytest.approx(2500, rel=0.05)
            assert found["vault|request_rate"] > 0
            assert found["old|latency_p95_ms"] < 100
            assert {one.form for one in source.plan().asked} == {"classic", "native"}
            api.close()
    server.shutdown()
    server.server_close()
    thread.join()


def last(series: object) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in series if isinstance(series, tuple) else ():
        assert isinstance(one, Series)
        found[one.name] = float(one.values[-1])
    return found


def has(served: Callable[[], dict[str, float]], *names: str) -> Callable[[], bool]:
    """Whether all of these have a number now."""

    def numbers() -> bool:
        found = served()
        return all(found.get(name, float("nan")) > 0 for name in names)

    return numbers
