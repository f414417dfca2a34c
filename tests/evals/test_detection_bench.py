"""The bench of the watch: an exporter that Prometheus can read, and one small run of all of it."""

from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from evals.detection.exporter import SyntheticShop
from evals.detection.watch_bench import SERIES_EACH, cost


def test_each_service_tells_of_calls_served_and_made_and_of_its_process() -> None:
    shop = SyntheticShop(3)
    shop.text()
    samples = [one for each in text_string_to_metric_families(shop.text()) for one in each.samples]
    told = Counter(one.name for one in samples)
    assert told["process_open_fds"] == told["process_max_fds"] == 3
    served = [one for one in samples if one.name == "http_server_request_duration_seconds_count"]
    assert {(one.labels["service"], one.labels["code"]) for one in served} == {
        (f"service-{number}", code) for number in range(3) for code in ("200", "500")
    }


@pytest.mark.integration
def test_the_watch_hears_of_every_series_that_a_real_prometheus_scrapes() -> None:
    found = cost(5, interval_s=1.0, scrapes=8, scans=1)
    assert found.series == 5 * SERIES_EACH
    assert found.scan_bytes > 0
    assert found.rules_s > 0
