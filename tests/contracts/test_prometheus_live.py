"""A real exporter, scraped for real: it is discovered, it falls silent, it is missed."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram, start_http_server

from copilot.ports import SourceError
from copilot.sources.clock import SystemClock
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus import PrometheusClient, PrometheusSource, queries
from copilot.testing import servers
from tools.types import Series, Window

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0


def eventually(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


@pytest.mark.skipif(
    servers.PROMETHEUS is None, reason="prometheus is not installed (apt-get install prometheus)"
)
def test_an_exporter_is_found_and_its_silence_is_a_gap(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    served = Histogram(
        "http_server_request_duration_seconds", "Served.", ["status"], registry=registry
    )
    Gauge("queue_depth", "Waiting.", registry=registry).set(7)
    exporter, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    target = f"127.0.0.1:{exporter.server_port}"
    with servers.prometheus(tmp_path / "p", {target: {"service": "cart"}}, every_s=1.0) as url:
        api = JsonApi("Prometheus", ApiEndpoint(url))
        source = PrometheusSource(PrometheusClient(api), queries(), SystemClock())

        def last(name: str) -> float:
            served.labels("200").observe(0.02)
            now = time.time()
            found: dict[str, Series] = {}
            if source_knows(source):
                found = {one.name: one for one in source.series(Window(start=now - 8, end=now))}
            return float(found[name].values[-1]) if name in found else float("nan")

        eventually(lambda: last("cart|queue_depth") == 7)
        eventually(lambda: np.isfinite(last("cart|latency_p95_ms")))
        assert source.plan().step_s == 1.0
        assert "of 1 owners" in source.describe()
        exporter.shutdown()
        exporter.server_close()
        thread.join()
        eventually(lambda: last("cart|instances_up") == 0)
        assert np.isnan(last("cart|queue_depth"))
        assert np.isnan(last("cart|request_rate"))
        api.close()


def source_knows(source: PrometheusSource) -> bool:
    """Whether anything was scraped yet."""
    try:
        return bool(source.plan().asked)
    except SourceError:
        return False
